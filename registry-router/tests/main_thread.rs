//! The exit of the main thread with leases in thread-locals, in a child process per backend.
//!
//! A program without a harness, because a harness runs its tests on other threads; it supports the options that test
//! runners pass.

use std::cell::RefCell;
use std::env;
use std::process::{Command, ExitCode};

use registry_core::Backend;
use registry_router::backends::{Visitor, for_each};
use registry_router::{Registry, ServerLease, mailbox};

const NAME: &str = "the_main_thread_may_exit_with_leases";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    match arguments.iter().position(|argument| argument == "--child") {
        Some(at) => for_each(&mut Child { backend: &arguments[at + 1], store_first: has("store-first") }),
        None if has("--list") => {
            if !has("--ignored") {
                print_line(&format!("{NAME}: test"));
            }
        }
        None => the_main_thread_may_exit_with_leases(),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "read by the test runner")]
fn print_line(line: &str) {
    println!("{line}");
}

fn the_main_thread_may_exit_with_leases() {
    for_each(&mut Parent);
}

/// Runs a child process for each backend.
struct Parent;

impl Visitor for Parent {
    fn visit<B: Backend>(&mut self) {
        for order in ["store-first", "store-last"] {
            let this = env::current_exe().expect("the path of this program is known");
            let output =
                Command::new(this).args(["--child", B::NAME, order]).output().expect("the program can be started");
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, {order}: {}\n{stderr}", B::NAME, output.status);
            assert_eq!(stdout.trim(), "0 left", "{}, {order}\n{stderr}", B::NAME);
        }
    }
}

/// Stores a lease and its registry in a thread-local of the main thread.
struct Child<'a> {
    backend: &'a str,
    store_first: bool,
}

/// Drops a lease, then prints the number of entries left.
struct ReportOnDrop(Option<Box<dyn Fn() -> usize>>, Option<ServerLease>);

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        drop(self.1.take());
        if let Some(left) = self.0.take() {
            print_line(&format!("{} left", left()));
        }
    }
}

thread_local! {
    static KEPT: RefCell<ReportOnDrop> = const { RefCell::new(ReportOnDrop(None, None)) };
}

impl Visitor for Child<'_> {
    fn visit<B: Backend>(&mut self) {
        if B::NAME != self.backend {
            return;
        }
        if self.store_first {
            KEPT.with_borrow_mut(|_| ());
        }
        let registry: Registry<u64, B> = Registry::builder().build().expect("the settings are valid");
        let lease = registry.register_server("s", mailbox(1).0, ()).expect("the id is free");
        KEPT.with_borrow_mut(|kept| *kept = ReportOnDrop(Some(Box::new(move || registry.server_count())), Some(lease)));
    }
}
