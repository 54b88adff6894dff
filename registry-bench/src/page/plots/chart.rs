//! Line charts: curves and percentiles.

use std::error::Error;

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Axis, GRID, INK, Mark, WIDTH, figure, legend, letters, without_overlaps};
use crate::spread::Spread;

/// Lines in one frame.
pub(in crate::page) struct Chart {
    /// The caption, with the axes.
    pub(in crate::page) caption: Markup,
    /// The text for screen readers.
    pub(in crate::page) label: String,
    pub(in crate::page) x: Axis,
    pub(in crate::page) y: Axis,
    pub(in crate::page) series: Vec<Series>,
}

/// One line.
pub(in crate::page) struct Series {
    pub(in crate::page) name: String,
    pub(in crate::page) colour: RGBColor,
    pub(in crate::page) mark: Mark,
    /// From left to right, with their ranges.
    pub(in crate::page) points: Vec<(f64, Spread)>,
}

const HEIGHT: i32 = 280;
/// The margins for labels and marks.
const LEFT: i32 = 76;
const RIGHT: i32 = 30;
const TOP: i32 = 10;
const BOTTOM: i32 = 34;

/// Maps figures to pixels.
struct Frame<'a> {
    x: &'a Axis,
    y: &'a Axis,
}

impl Chart {
    /// Renders the plot, with the names of its lines below.
    pub(in crate::page) fn draw(&self) -> Markup {
        let names = self.series.iter().map(|series| (series.name.as_str(), series.colour, series.mark));
        html! {
            div.plot {
                (figure(&self.caption, &self.label, HEIGHT.unsigned_abs(), |area| {
                    let frame = Frame { x: &self.x, y: &self.y };
                    frame.draw(area)?;
                    self.series.iter().try_for_each(|series| series.draw(area, &frame))
                }))
                (legend(names))
            }
        }
    }
}

impl Frame<'_> {
    fn across(&self, place: f64) -> i32 {
        let wide = f64::from(WIDTH as i32 - LEFT - RIGHT);
        LEFT + ((place - self.x.from) / (self.x.to - self.x.from) * wide) as i32
    }

    fn down(&self, place: f64) -> i32 {
        let tall = f64::from(HEIGHT - TOP - BOTTOM);
        HEIGHT - BOTTOM - ((place - self.y.from) / (self.y.to - self.y.from) * tall) as i32
    }

    fn at(&self, x: f64, y: f64) -> (i32, i32) {
        (self.across(self.x.at(x)), self.down(self.y.at(y)))
    }

    fn draw(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let (left, right) = (LEFT - 4, WIDTH as i32 - RIGHT + 4);
        let below = letters(INK).pos(Pos::new(HPos::Center, VPos::Top));
        for (place, _) in &self.x.ticks {
            let x = self.across(*place);
            area.draw(&PathElement::new([(x, TOP - 4), (x, HEIGHT - BOTTOM + 4)], GRID.stroke_width(1)))?;
        }
        for (x, tick_label) in
            without_overlaps(self.x.ticks.iter().map(|(place, tick_label)| (self.across(*place), tick_label.clone())))
        {
            area.draw(&Text::new(tick_label, (x, HEIGHT - BOTTOM + 8), below.clone()))?;
        }
        let beside = letters(INK).pos(Pos::new(HPos::Right, VPos::Center));
        for (place, tick_label) in &self.y.ticks {
            let y = self.down(*place);
            area.draw(&PathElement::new([(left, y), (right, y)], GRID.stroke_width(1)))?;
            area.draw(&Text::new(tick_label.clone(), (left - 4, y), beside.clone()))?;
        }
        Ok(())
    }
}

impl Series {
    fn draw(&self, area: &Area<'_>, frame: &Frame<'_>) -> Result<(), Box<dyn Error>> {
        let places: Vec<(i32, i32)> = self.points.iter().map(|(x, spread)| frame.at(*x, spread.median)).collect();
        area.draw(&PathElement::new(places.clone(), self.colour.stroke_width(2)))?;
        for (x, spread) in &self.points {
            let ends = [spread.min, spread.max].map(|end| frame.at(*x, end));
            area.draw(&PathElement::new(ends, self.colour.mix(0.6).stroke_width(1)))?;
        }
        let style = self.colour.filled();
        for place in places {
            match self.mark {
                Mark::Circle => area.draw(&Circle::new(place, 4, style))?,
                Mark::Triangle => area.draw(&TriangleMarker::new(place, 6, style))?,
                Mark::Cross => area.draw(&Cross::new(place, 4, self.colour.stroke_width(2)))?,
                Mark::Square => {
                    let (x, y) = place;
                    area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], style))?;
                }
            }
        }
        Ok(())
    }
}
