//! The errors of a registry. Each returns the values that the failed call had taken.
//!
//! All are `#[non_exhaustive]`, so that a variant can be added. Whatever is computed per variant, such as names and
//! conversions, is computed here, where a match without a case for a new variant does not compile.

mod bound_route;
mod build;
mod call;
mod register;
mod route;
mod send;
mod wait;

pub use bound_route::BoundRouteError;
pub use build::BuildError;
pub use call::{CallError, CallErrorKind, ReplyError};
pub use register::{BindError, RegisterError, RegisterErrorKind};
pub use route::{RouteError, RouteErrorKind};
pub use send::SendError;
pub use wait::AwaitError;
