//! A map by ids, or other keys, that come from the controller and never from a client.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Nobody chooses these keys to make them collide, so a quick hash without a secret will do: ten accounts are looked
/// up several times for every request.
pub type IdMap<K, V> = HashMap<K, V, FixedState>;
