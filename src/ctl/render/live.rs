//! A block at the end of the terminal's text that is drawn anew in place.

use std::io;

use crate::ctl::terminal::Terminal;

/// Some lines, the same width or less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) lines: Vec<String>,
    /// The columns of the widest line, without what is not seen.
    pub(crate) width: usize,
}

impl Block {
    /// Lines of text.
    pub(crate) fn text(lines: impl IntoIterator<Item = String>) -> Self {
        let mut block = Self::default();
        for line in lines {
            block.width = block.width.max(line.chars().count());
            block.lines.push(line);
        }
        block
    }

    /// The same text in lines of less than so many columns; what is broken goes on indented.
    pub(crate) fn wrapped(self, columns: usize) -> Self {
        let mut lines = Vec::new();
        for line in self.lines {
            wrap(&line, columns, &mut lines);
        }
        Self::text(lines)
    }

    /// Puts more lines below.
    pub(crate) fn extend(&mut self, other: Self) {
        self.width = self.width.max(other.width);
        self.lines.extend(other.lines);
    }
}

fn wrap(line: &str, columns: usize, lines: &mut Vec<String>) {
    const INDENT: &str = "    ";
    let length = |text: &str| text.chars().count();
    let mut rest = line.to_owned();
    while length(&rest) >= columns.max(20) {
        let limit = rest.char_indices().nth(columns.max(20) - 1);
        let limit = limit.map_or(rest.len(), |(at, _)| at);
        // At a space, and where there is none, anywhere.
        let head = rest.get(..limit).unwrap_or_default();
        let space = head.rfind(' ').filter(|at| !head[..*at].trim().is_empty());
        let at = space.unwrap_or(limit);
        let tail = format!("{INDENT}{}", rest[at..].trim_start());
        rest.truncate(at);
        lines.push(std::mem::replace(&mut rest, tail));
    }
    lines.push(rest);
}

/// What is drawn now: a body, and below it one line that changes often.
#[derive(Debug, Default)]
pub(crate) struct Live {
    body: Block,
    foot: String,
    /// How many of the last lines of the terminal may be drawn over.
    drawn: usize,
}

impl Live {
    /// Draws the difference. A body that does not fit into the terminal stays where it is when
    /// another one comes: what has scrolled away cannot be drawn over.
    pub(crate) fn draw(
        &mut self,
        terminal: &mut Terminal,
        body: Block,
        foot: &str,
    ) -> io::Result<()> {
        let size = terminal.size();
        let foot: String = match size {
            Some(size) => foot.chars().take(size.columns.saturating_sub(1)).collect(),
            None => foot.to_owned(),
        };
        if self.drawn > 0 && body == self.body {
            if foot != self.foot {
                terminal.print(&format!("\x1b[1A\r\x1b[2K{foot}"))?;
                self.foot = foot;
            }
            return Ok(());
        }
        self.clear(terminal)?;
        let fits =
            size.is_some_and(|size| body.width < size.columns && body.lines.len() + 1 < size.rows);
        let mut text = body.lines.join("\n");
        if !body.lines.is_empty() {
            text.push('\n');
        }
        terminal.print(&format!("{text}{foot}"))?;
        self.drawn = if fits { body.lines.len() + 1 } else { 1 };
        self.body = body;
        self.foot = foot;
        Ok(())
    }

    /// Takes the block off the terminal: what is written next stands in its place.
    pub(crate) fn clear(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        if self.drawn > 0 {
            terminal.raw(format!("\x1b[{}A\r\x1b[J", self.drawn).as_bytes())?;
        }
        *self = Self::default();
        Ok(())
    }

    /// Leaves the block where it is: what is written next stands below it.
    pub(crate) fn leave(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::terminal::Look;
    use crate::ctl::terminal::scripted;

    fn block(lines: &[&str]) -> Block {
        Block::text(lines.iter().map(|line| (*line).to_owned()))
    }

    #[test]
    fn long_lines_are_broken_at_spaces() {
        let wrapped = |text: &str| block(&[text]).wrapped(24).lines;
        assert_eq!(wrapped("short"), ["short"]);
        assert_eq!(wrapped(""), [""]);
        assert_eq!(
            wrapped("  one two three four five six seven"),
            ["  one two three four", "    five six seven"]
        );
        let word = "ü".repeat(60);
        let broken = wrapped(&word);
        assert!(
            broken.iter().all(|line| line.chars().count() < 24),
            "{broken:?}"
        );
        assert_eq!(broken.concat().replace(' ', ""), word);
    }

    #[test]
    fn only_what_changed_is_drawn() {
        let look = Look {
            terminal: true,
            live: true,
            ..Look::default()
        };
        let mut t = scripted::terminal(look);
        let mut live = Live::default();
        live.draw(&mut t.terminal, block(&["a", "b"]), "60s")
            .expect("drawn");
        live.draw(&mut t.terminal, block(&["a", "b"]), "60s")
            .expect("drawn");
        live.draw(&mut t.terminal, block(&["a", "b"]), "59s")
            .expect("drawn");
        live.draw(&mut t.terminal, block(&["c"]), "20s")
            .expect("drawn");
        live.clear(&mut t.terminal).expect("cleared");
        live.clear(&mut t.terminal).expect("cleared");
        let drawn = "a\nb\n60s\n\x1b[1A\r\x1b[2K59s\n\x1b[3A\r\x1b[Jc\n20s\n\x1b[2A\r\x1b[J";
        assert_eq!(t.out.text(), drawn);
    }

    #[test]
    fn a_body_that_does_not_fit_is_not_drawn_over() {
        let look = Look {
            terminal: true,
            live: true,
            ..Look::default()
        };
        let mut t = scripted::terminal(look);
        let mut live = Live::default();
        let tall: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        let wide = "x".repeat(100);
        live.draw(&mut t.terminal, Block::text(tall), &"y".repeat(200))
            .expect("drawn");
        live.draw(&mut t.terminal, block(&[&wide]), "f")
            .expect("drawn");
        live.draw(&mut t.terminal, block(&["small"]), "f")
            .expect("drawn");
        let text = t.out.text();
        let (_, after) = text.split_once("\n59\n").expect("the tall one");
        let foot = "y".repeat(99);
        let expected = format!("{foot}\n\x1b[1A\r\x1b[J{wide}\nf\n\x1b[1A\r\x1b[Jsmall\nf\n");
        assert_eq!(after, expected);
    }
}
