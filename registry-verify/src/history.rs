//! Records what several threads do to a registry at once, and checks it against the sequential specification.
