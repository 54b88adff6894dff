//! Tests of the specification itself.

mod histories;
