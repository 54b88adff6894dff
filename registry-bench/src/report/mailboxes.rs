//! Idle mailboxes as a table.

use super::{align, table};
use crate::record::Document;

/// All mailboxes of a document; nothing if it has none.
pub(super) fn mailboxes(document: &Document) -> String {
    if document.idle.is_empty() {
        return String::new();
    }
    let mut table = table(&["mailbox", "capacity", "B empty", "B used", "B waiting", "ns in and out"]);
    for idle in &document.idle {
        table.add_row(vec![
            idle.mailbox.clone(),
            idle.capacity.to_string(),
            format!("{:.0}", idle.empty_bytes),
            format!("{:.0}", idle.used_bytes),
            idle.waiting_bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")),
            idle.send_ns.map_or_else(String::new, |ns| format!("{ns:.0}")),
        ]);
    }
    let bytes = document.idle[0].message_bytes;
    format!(
        "{}\nBytes of an idle mailbox for messages of {bytes} bytes, both ends included: never used, after one message,\n\
         and while its receiver waits for the next one.\n\n",
        align(table, 1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, Idle, Line};

    #[test]
    fn what_was_not_measured_is_left_open() {
        let idle = Idle {
            mailbox: "tokio 1.2.3".to_owned(),
            capacity: 16,
            message_bytes: 48,
            mailboxes: 100,
            empty_bytes: 2_096.0,
            used_bytes: 2_097.4,
            waiting_bytes: None,
            send_ns: Some(99.6),
        };
        let text = mailboxes(&Document::of(Host::default(), vec![Line::Idle(idle)]));
        let row = text.lines().find(|line| line.contains("tokio")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "tokio 1.2.3", "16", "2096", "2097", "", "100", ""]);
        assert_eq!(mailboxes(&Document::of(Host::default(), Vec::new())), "");
    }
}
