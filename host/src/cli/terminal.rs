//! What a terminal can show: its width, and whether it takes colour.

use std::io::{IsTerminal, stderr, stdout};

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
