//! Figures of several rounds as lines of a table.

/// The least, the middle and the greatest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Of figures, of which there must be one at least; of an even number the median is the higher of the two in the middle.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Spread { least: at(0), median: at(figures.len() / 2), greatest: at(figures.len().saturating_sub(1)) }
    }

    /// `median (least to greatest)`, each in `unit`s and with so many decimals.
    pub(crate) fn text(self, unit: f64, decimals: usize) -> String {
        let Spread { least, median, greatest } = self;
        let (least, median, greatest) = (least / unit, median / unit, greatest / unit);
        format!("{median:.decimals$} ({least:.decimals$} to {greatest:.decimals$})")
    }
}

/// Prints rows of cells, the columns below each other; the first row is the heading.
pub(crate) fn print(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}\n");
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", lines.join(" | "));
        }
    }
}
