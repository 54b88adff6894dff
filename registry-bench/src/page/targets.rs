//! The targets, and whether they hold.

use maud::{Markup, html};

use super::table::table;
use crate::record::Document;
use crate::tables::targets;

pub(super) fn section(document: &Document) -> Markup {
    html! {
        p {
            "The registry sets itself bounds, each on the median of rounds. A bound holds where every round stays "
            "within it, is missed where every round is beyond it, and is undecided where the range of the rounds "
            "crosses it. A target counts as what it is at its worst place."
        }
        (table(&targets::summary(document)))
        @if let Some(places) = targets::places(document) {
            details {
                summary { "Every place where a target was measured" }
                (table(&places))
            }
        }
    }
}
