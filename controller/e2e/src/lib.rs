//! A real Kubernetes for tests: brings it up, drives it from outside and removes it.
