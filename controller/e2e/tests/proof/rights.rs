//! Every rule of the controller's roles is needed.
