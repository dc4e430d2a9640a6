//! Tables without borders, for people and for `grep`.

use comfy_table::{ContentArrangement, Table, presets};

use crate::ctl::terminal::Terminal;

/// A table that fits the terminal; where the output goes elsewhere, every row stays on one line.
pub(crate) fn table<const N: usize>(
    terminal: &Terminal,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    if let Some(size) = terminal.size() {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(size.columns).unwrap_or(u16::MAX));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
