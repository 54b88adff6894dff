//! Storms and faults: many deaths at once, panics, stalled owners, runtimes that shut down.
