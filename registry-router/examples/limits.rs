//! Limits on registrations: per label and per second, with the reason of a refusal and when to retry.
//!
//! Run it with `cargo run -p registry-router --example limits`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::{Duration, Instant};

use registry_router::{
    AdmissionError, DenyReason, HealthChange, HealthEvent, Inbox, LabelLimit, Limit, Limits, Metadata, RateLimit,
    RegisterErrorKind, Registry, ToTransport, TransportLease, mailbox,
};

/// A registered connection: it is registered for as long as its lease exists and its inbox is open.
type Connection = (TransportLease, Inbox<ToTransport<String>>);

/// Registers a connection of a tenant.
fn connect(registry: &Registry<String>, id: &str, tenant: &str) -> Result<Connection, AdmissionError> {
    let (mailbox, inbox) = mailbox(1);
    match registry.register_transport(id, mailbox, Metadata::new().with("tenant", tenant)) {
        Ok(lease) => Ok((lease, inbox)),
        // The error also returns the mailbox and the metadata, for another attempt.
        Err(error) => match error.into_kind() {
            RegisterErrorKind::Refused(refused) => Err(refused),
            other => panic!("not refused by admission: {other}"),
        },
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let per_tenant = LabelLimit::new("tenant").with_transports(2);
    let registry: Registry<String> =
        Registry::builder().limits(Limits::default().with_label(per_tenant).with_rate(RateLimit::new(1, 6))).build()?;
    let mut health = registry.watch_health();

    // Each tenant may have two connections.
    let first = connect(&registry, "conn-1", "acme")?;
    let _second = connect(&registry, "conn-2", "acme")?;
    let refused = connect(&registry, "conn-3", "acme").expect_err("the third connection of the tenant");
    assert!(matches!(&refused.reason, DenyReason::Limit(Limit::Label { key, .. }) if &**key == "tenant"));
    println!("{refused}; retry after {:?}", refused.retry_after);

    // Other tenants are not affected, and a connection that ends makes room.
    let _other = connect(&registry, "conn-4", "globex")?;
    drop(first);
    let _third = connect(&registry, "conn-3", "acme")?;

    // At most six registrations at once, then one per second.
    let mut connections = Vec::new();
    let refused = (5..).find_map(|number| match connect(&registry, &format!("conn-{number}"), &format!("t{number}")) {
        Ok(connection) => {
            connections.push(connection);
            None
        }
        Err(refused) => Some(refused),
    });
    let refused = refused.ok_or("no registration was refused")?;
    assert_eq!(refused.reason, DenyReason::Limit(Limit::Rate));
    assert!(refused.retry_after.is_some_and(|after| after <= Duration::from_secs(1)));
    println!("{refused}; retry after {:?}", refused.retry_after);

    // A health check reports which limits were reached. A service spawns `health_task` instead of calling `tick`.
    registry.tick(Instant::now());
    let mut reached = Vec::new();
    while let Ok(HealthEvent::Change(change)) = health.try_next() {
        println!("health: {change}");
        if let HealthChange::LimitReached(usage) = change {
            reached.push(usage.limit);
        }
    }
    assert!(reached.contains(&Limit::Rate) && reached.iter().any(|limit| matches!(limit, Limit::Label { .. })));
    Ok(())
}
