//! Tests of the specification itself.

mod histories;
mod modes;
mod space;
mod strict;
