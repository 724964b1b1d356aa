//! What a terminal can show: its width, whether it takes colour, and numbers as people read them.

use std::io::{IsTerminal, stderr, stdout};

use clap::ValueEnum;

/// The width of text that is not shown on a terminal.
const WIDTH_ELSEWHERE: usize = 100;

/// Whether stderr takes colour (`NO_COLOR` says no).
pub(super) fn stderr_takes_color() -> bool {
    stderr().is_terminal() && colors_allowed()
}

/// Whether stdout takes colour (`NO_COLOR` says no).
pub(super) fn stdout_takes_color() -> bool {
    stdout().is_terminal() && colors_allowed()
}

/// When a command colours what it prints to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Whatever it is written to.
    Always,
    /// Not at all.
    Never,
}

impl ColorChoice {
    /// Whether stdout is written in colour.
    pub(super) fn for_stdout(self) -> bool {
        match self {
            ColorChoice::Auto => stdout_takes_color(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        }
    }
}

fn colors_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// `error`, red and bold where stderr takes colour.
pub(super) fn error_label() -> &'static str {
    if stderr_takes_color() { "\u{1b}[1;91merror\u{1b}[0m" } else { "error" }
}

/// A text in an ANSI style (`1` bold, `32` green …), where `color` says so.
pub(super) fn styled(text: &str, style: &str, color: bool) -> String {
    if color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The columns of the terminal that stdout is; `COLUMNS` elsewhere, or 100.
pub(super) fn width() -> usize {
    if let Some(columns) = terminal_columns() {
        return columns;
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.filter(|columns| *columns >= 20).unwrap_or(WIDTH_ELSEWHERE)
}

fn terminal_columns() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` to the pointer, which is to a live one, and nothing else.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Figures in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_groups() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
