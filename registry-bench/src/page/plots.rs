//! Plots as embedded SVG.
//!
//! They are drawn for the width of a phone and scaled up, so that their text stays readable. The style of the page
//! replaces two colours, ink and grid, on a dark screen.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::FontDesc;

pub(super) use self::axis::Axis;
pub(super) use self::chart::{Chart, Series};
pub(super) use self::dots::{Dot, Dots};

mod axis;
mod chart;
mod dots;

/// The width of a plot.
const WIDTH: u32 = 380;
/// The height of a line of text; letters have about four fifths of it.
const LINE_HEIGHT: u32 = 21;

const INK: RGBColor = RGBColor(0, 0, 0);
const GRID: RGBColor = RGBColor(221, 221, 221);
const BOUND: RGBColor = RGBColor(208, 52, 44);

/// Returns the colour of a subject or a backend, visible on light and on dark backgrounds.
pub(super) fn colour(name: &str) -> RGBColor {
    match name {
        "papaya" | "registry" => RGBColor(217, 98, 43),
        "dashmap" | "lookup" => RGBColor(58, 124, 214),
        "evmap" | "register" => RGBColor(44, 150, 100),
        "left-right" | "bind" | "bare" => RGBColor(146, 94, 200),
        "route" => RGBColor(190, 140, 20),
        _ => RGBColor(128, 134, 142),
    }
}

/// Renders names beside their colours, below a plot.
pub(super) fn legend<'a>(names: impl IntoIterator<Item = (&'a str, RGBColor, Mark)>) -> Markup {
    html! {
        p.legend {
            @for (name, RGBColor(r, g, b), mark) in names {
                span { i style=(format!("color:#{r:02x}{g:02x}{b:02x}")) { (mark.sign()) } " " (name) } " "
            }
        }
    }
}

/// The shape of a point, which tells lines apart without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Circle,
    Triangle,
    Square,
    Cross,
}

impl Mark {
    /// Returns the mark for a place in a list.
    pub(super) fn at(place: usize) -> Self {
        [Self::Circle, Self::Triangle, Self::Square, Self::Cross][place % 4]
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Circle => "●",
            Self::Triangle => "▲",
            Self::Square => "■",
            Self::Cross => "✕",
        }
    }
}

/// Draws a figure with a caption. A failed drawing is replaced by the error.
fn figure<F>(caption: &Markup, label: &str, height: u32, draw: F) -> Markup
where
    F: FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
{
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| area.present().map_err(Into::into))
    };
    let drawing = match drawn {
        Ok(()) => html! { div role="img" aria-label=(label) { (PreEscaped(svg)) } },
        Err(error) => html! { p { "This plot could not be drawn: " (error) } },
    };
    html! { figure { figcaption { (caption) } (drawing) } }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn letters(colour: RGBColor) -> TextStyle<'static> {
    FontDesc::from(("sans-serif", LINE_HEIGHT)).color(&colour)
}

/// Returns the ticks whose labels do not overlap below an axis: the position in pixels and the text.
fn without_overlaps(ticks: impl Iterator<Item = (i32, String)>) -> Vec<(i32, String)> {
    let mut end = 0;
    let mut kept = Vec::new();
    for (x, tick_label) in ticks {
        // A letter is about half as wide as a line is high.
        let half = tick_label.chars().count() as i32 * LINE_HEIGHT as i32 / 4;
        if x - half >= end && x + half <= WIDTH as i32 {
            end = x + half;
            kept.push((x, tick_label));
        }
    }
    kept
}

#[cfg(test)]
mod tests;
