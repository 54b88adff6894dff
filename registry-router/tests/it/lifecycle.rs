//! Registering, renewing and removing entries.

mod admission;
mod closed_mailboxes;
mod incarnations;
mod memory_release;
mod register;
mod removal_cost;
mod renew;
mod rules;
mod thread_exit;
