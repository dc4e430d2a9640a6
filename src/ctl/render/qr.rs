//! QR codes: in a terminal, as SVG, as PNG.

use std::fmt::Write as _;
use std::io;

use qrcode::{Color, EcLevel, QrCode};

use crate::ctl::error::Problem;
use crate::ctl::exit::Exit;

/// The empty border that a reader needs around a code, in modules.
pub(crate) const QUIET: usize = 4;

/// A border that readers still take, for small terminals.
const NARROW: usize = 2;

/// How many pixels of a PNG a module has in each direction.
const SCALE: usize = 8;

/// A QR code as a square of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    /// Row by row; `true` is dark.
    modules: Vec<bool>,
    width: usize,
}

impl Code {
    /// The code with this text. The lowest correction: it is read from a screen, and shall be small.
    pub(crate) fn new(text: &str) -> Result<Self, Problem> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|error| {
            let message = format!("the daemon's text makes no QR code: {error}");
            Problem::new(Exit::Protocol, "protocol", message)
        })?;
        Ok(Self {
            width: code.width(),
            modules: code.to_colors().iter().map(|c| *c == Color::Dark).collect(),
        })
    }

    /// Columns and rows it takes in a terminal with this border.
    pub(crate) fn size(&self, quiet: usize) -> (usize, usize) {
        let side = self.width + 2 * quiet;
        (side, side.div_ceil(2))
    }

    /// The widest border with which it fits into so many columns and rows.
    pub(crate) fn fitting(&self, columns: usize, rows: usize) -> Option<usize> {
        [QUIET, NARROW].into_iter().find(|quiet| {
            let (width, height) = self.size(*quiet);
            width <= columns && height <= rows
        })
    }

    /// Drawn with half blocks, two rows of modules a line.
    ///
    /// With colour, in black on white, whatever the terminal's own colours are. Without, the light
    /// modules are the ink, as on a dark terminal; the border is drawn too, so on a light terminal the
    /// code is whole, with its colours turned round.
    pub(crate) fn lines(&self, quiet: usize, colour: bool) -> Vec<String> {
        let (columns, rows) = self.size(quiet);
        let line = |row: usize| {
            let ink = |x, y| self.is_dark(x, y, quiet) == colour;
            let cells = (0..columns).map(|x| match (ink(x, 2 * row), ink(x, 2 * row + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
            let cells: String = cells.collect();
            if colour {
                // The fixed entries of the 256 colours: a theme may redefine the first sixteen.
                format!("\x1b[38;5;16;48;5;231m{cells}\x1b[0m")
            } else {
                cells
            }
        };
        (0..rows).map(line).collect()
    }

    /// As an SVG image.
    pub(crate) fn svg(&self) -> String {
        let side = self.width + 2 * QUIET;
        let pixels = side * SCALE;
        let mut path = String::new();
        for y in 0..side {
            for x in (0..side).filter(|x| self.is_dark(*x, y, QUIET)) {
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h1v1h-1z");
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
             viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/>\
             <path fill=\"#000\" d=\"{path}\"/></svg>\n"
        )
    }

    /// As a PNG image.
    pub(crate) fn png(&self) -> io::Result<Vec<u8>> {
        let side = (self.width + 2 * QUIET) * SCALE;
        let pixel = |i: usize| {
            let (x, y) = (i % side / SCALE, i / side / SCALE);
            if self.is_dark(x, y, QUIET) { 0 } else { 255 }
        };
        let pixels: Vec<u8> = (0..side * side).map(pixel).collect();
        let side = u32::try_from(side).map_err(io::Error::other)?;
        let mut image = Vec::new();
        let mut encoder = png::Encoder::new(&mut image, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(image)
    }

    /// Whether the module is dark, counted from the border's corner. Everything outside is light.
    fn is_dark(&self, x: usize, y: usize, quiet: usize) -> bool {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < self.width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.modules.get(y * self.width + x).copied() == Some(true),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2@abcdefghijklmnopqrstuvwxyz0123456789,AbCdEf=,GhIjKl=,MnOpQr=";

    /// The modules, border included, read back from a drawing.
    fn read(lines: &[String], colour: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in lines {
            let cells = if colour {
                let line = line
                    .strip_prefix("\x1b[38;5;16;48;5;231m")
                    .expect("black on white");
                line.strip_suffix("\x1b[0m").expect("an end of the colours")
            } else {
                line
            };
            let ink = |half: char| {
                let cells = cells.chars();
                cells
                    .map(move |c| (c == '█' || c == half) == colour)
                    .collect::<Vec<_>>()
            };
            rows.push(ink('▀'));
            rows.push(ink('▄'));
        }
        rows
    }

    /// The modules, border included, as they should be.
    fn expected(quiet: usize) -> Vec<Vec<bool>> {
        let code = QrCode::with_error_correction_level(TEXT, EcLevel::L).expect("a code");
        let (width, side) = (code.width(), code.width() + 2 * quiet);
        let mut rows = vec![vec![false; side]; side.next_multiple_of(2)];
        for y in 0..width {
            for x in 0..width {
                rows[y + quiet][x + quiet] = code[(x, y)] == Color::Dark;
            }
        }
        rows
    }

    #[test]
    fn what_is_drawn_is_the_code() {
        let code = Code::new(TEXT).expect("a code");
        for (quiet, colour) in [(4, true), (4, false), (2, true), (2, false)] {
            let lines = code.lines(quiet, colour);
            assert_eq!(lines.len(), code.size(quiet).1);
            assert_eq!(read(&lines, colour), expected(quiet), "{quiet} {colour}");
        }
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let lines = Code::new(TEXT).expect("a code").lines(QUIET, false);
        assert!(lines.concat().chars().all(|c| "█▀▄ ".contains(c)));
    }

    #[test]
    fn the_border_gives_way_in_a_small_terminal() {
        let code = Code::new(TEXT).expect("a code");
        let (wide, high) = code.size(QUIET);
        assert_eq!(code.fitting(wide, high), Some(QUIET));
        assert_eq!(code.fitting(wide - 1, high), Some(NARROW));
        assert_eq!(code.fitting(wide, high - 1), Some(NARROW));
        assert_eq!(code.fitting(80, 10), None);
    }

    #[test]
    fn the_images_are_the_code() {
        let code = Code::new(TEXT).expect("a code");
        let expected = expected(QUIET);
        let side = code.width + 2 * QUIET;

        let image = code.png().expect("an image");
        let decoder = png::Decoder::new(io::Cursor::new(image));
        let mut reader = decoder.read_info().expect("a header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let frame = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!(frame.width as usize, side * SCALE);
        let svg = code.svg();
        for (y, row) in expected.iter().enumerate().take(side) {
            for (x, dark) in row.iter().enumerate() {
                let (px, py) = (x * SCALE + SCALE / 2, y * SCALE + SCALE / 2);
                assert_eq!(pixels[py * side * SCALE + px] == 0, *dark, "{x} {y}");
                assert_eq!(svg.contains(&format!("M{x} {y}h")), *dark, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_an_error() {
        let problem = Code::new(&"x".repeat(4000)).expect_err("too long");
        assert_eq!(problem.exit, Exit::Protocol);
    }
}
