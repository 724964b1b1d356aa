//! Events as rows of a table that fits the terminal: a column for each of the fields that show what the filters did.

use weir::event::{Batch, fields};
use weir_filter::FieldReference;

use crate::cli::terminal::styled;

/// Between two columns.
const GAP: &str = "  ";

/// A column: its heading, the filter that made it, the fields of which the first that is there is shown, how narrow it may
/// become, and how soon it is left out where there is no room (the largest number first, 0 never).
struct Column {
    heading: &'static str,
    filter: &'static str,
    fields: &'static [&'static str],
    narrowest: usize,
    dispensable: u8,
}

const COLUMNS: [Column; 8] = [
    Column { heading: "@timestamp", filter: "date", fields: &["@timestamp"], narrowest: 20, dispensable: 2 },
    Column {
        heading: "query_name",
        filter: "dissect",
        fields: &["query_name", "message"],
        narrowest: 12,
        dispensable: 0,
    },
    Column { heading: "type", filter: "", fields: &["query_type"], narrowest: 5, dispensable: 5 },
    Column { heading: "code", filter: "", fields: &["response_code"], narrowest: 8, dispensable: 3 },
    Column {
        heading: "resolver",
        filter: "",
        fields: &["resolver_ipaddress"],
        narrowest: 15,
        dispensable: 0,
    },
    Column {
        heading: "src_geoip",
        filter: "geoip",
        fields: &["[src_geoip][city_name]", "[src_geoip][country_name]", "[tags][0]"],
        narrowest: 12,
        dispensable: 0,
    },
    Column {
        heading: "local_time",
        filter: "local-time",
        fields: &["[@metadata][local_time]"],
        narrowest: 10,
        dispensable: 1,
    },
    Column {
        heading: "fingerprint",
        filter: "fingerprint",
        fields: &["[@metadata][fingerprint]"],
        narrowest: 11,
        dispensable: 4,
    },
];

/// A table that is written as batches come. The widths are those of the first batch.
pub(super) struct Table {
    terminal: usize,
    color: bool,
    widths: Option<[usize; COLUMNS.len()]>,
}

impl Table {
    /// A table of at most `terminal` columns of letters.
    pub(super) fn new(terminal: usize, color: bool) -> Self {
        Table { terminal, color, widths: None }
    }

    /// Appends the batch's rows, before the first ones the headings.
    pub(super) fn write(&mut self, events: &Batch, out: &mut Vec<u8>) {
        let rows: Vec<[String; COLUMNS.len()]> = (0..events.rows()).map(|row| cells(events, row)).collect();
        let widths = match self.widths {
            Some(widths) => widths,
            None => {
                let widths = widths(&rows, self.terminal);
                let headings = COLUMNS.map(|column| column.heading.to_owned());
                let filters = COLUMNS.map(|column| column.filter.to_owned());
                self.write_row(&headings, &widths, "1", out);
                self.write_row(&filters, &widths, "2", out);
                *self.widths.insert(widths)
            }
        };
        for row in &rows {
            self.write_row(row, &widths, "", out);
        }
    }

    fn write_row(&self, cells: &[String], widths: &[usize], style: &str, out: &mut Vec<u8>) {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
            let cell = cut(cell, *width);
            let padding = " ".repeat(width - cell.chars().count());
            line.push_str(&cell);
            line.push_str(&padding);
            line.push_str(GAP);
        }
        let line = line.trim_end();
        let color = self.color && !style.is_empty();
        out.extend_from_slice(styled(line, style, color).as_bytes());
        out.push(b'\n');
    }
}

fn cells(events: &Batch, row: usize) -> [String; COLUMNS.len()] {
    COLUMNS.map(|column| {
        for field in column.fields {
            // The references are this file's own, and right.
            let Ok(reference) = FieldReference::parse(field) else { continue };
            match fields::whole(events, row, &reference) {
                None => {}
                // Whole seconds, as all times of the sample are, need no decimals.
                Some(serde_json::Value::String(text)) => return printable(&text.replace(".000Z", "Z")),
                Some(other) => return printable(&other.to_string()),
            }
        }
        String::new()
    })
}

/// A text without what would move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// As wide as the longest cell; where the terminal is too narrow, the widest ones give way first, and then those that can
/// be dispensed with are left out.
fn widths(rows: &[[String; COLUMNS.len()]], terminal: usize) -> [usize; COLUMNS.len()] {
    let mut widths = COLUMNS.map(|column| column.heading.len().max(column.filter.len()));
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let total = |widths: &[usize]| {
        let shown = widths.iter().filter(|width| **width > 0);
        shown.map(|width| width + GAP.len()).sum::<usize>().saturating_sub(GAP.len())
    };
    // What is left out makes room for the others at their narrowest.
    let mut least: Vec<usize> = (0..widths.len()).map(|at| widths[at].min(COLUMNS[at].narrowest)).collect();
    while total(&least) > terminal {
        let shown = (0..least.len()).filter(|at| least[*at] > 0 && COLUMNS[*at].dispensable > 0);
        let Some(next) = shown.max_by_key(|at| COLUMNS[*at].dispensable) else { break };
        least[next] = 0;
        widths[next] = 0;
    }
    while total(&widths) > terminal {
        let wide = (0..widths.len()).filter(|at| widths[*at] > least[*at]);
        let Some(widest) = wide.max_by_key(|at| widths[*at]) else { break };
        widths[widest] -= 1;
    }
    widths
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut cut: String = cell.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir::event::FieldNames;
    use weir_filter::Value;

    use super::*;

    fn written(terminal: usize) -> String {
        let mut batch = Batch::new(Arc::new(FieldNames::new()), 2);
        let mut set = |row: usize, field: &str, text: &str| {
            let reference = FieldReference::parse(field).unwrap();
            fields::set(&mut batch, row, &reference, Value::Text(text)).unwrap();
        };
        set(0, "query_name", "a-rather-long-name.of-a-host.example.com");
        set(0, "[src_geoip][city_name]", "São Paulo");
        set(0, "[@metadata][fingerprint]", "1366418581");
        set(1, "message", "no\tquery line at all");
        let mut out = Vec::new();
        Table::new(terminal, false).write(&batch, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_fit_the_terminal() {
        for terminal in [200, 120, 100, 80, 60] {
            let table = written(terminal);
            let longest = table.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(terminal), "{terminal}: {longest:?}\n{table}");
            assert_eq!(table.lines().count(), 4, "{table}");
        }
        assert!(written(200).contains("a-rather-long-name.of-a-host.example.com"));
        assert!(written(100).contains('…') && written(100).contains("São Paulo"));
        assert!(!written(200).contains('\t'));
    }
}
