//! Logstash's file of positions, read as the first start positions of groups: a line a group, its name and a time in
//! milliseconds. Logstash writes it in place without cutting it, so what stands after the lines may be left over.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

/// The positions by group. Of a group that stands there twice the first line counts: the second is left over.
pub(super) fn read(path: &Path) -> Result<HashMap<String, i64>> {
    let text =
        std::fs::read(path).with_context(|| format!("cannot read the sincedb_path {}", path.display()))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> HashMap<String, i64> {
    let mut positions = HashMap::new();
    for line in text.lines() {
        let Some((group, position)) = line.split_once(' ') else { continue };
        let Ok(position) = position.trim().parse::<i64>() else { continue };
        positions.entry(group.to_owned()).or_insert(position);
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_is_left_over() {
        let positions = parse("/a 1700000000124\n/b 5\n/a 17\nc\n/d x\n");
        assert_eq!(positions.len(), 2);
        assert_eq!((positions["/a"], positions["/b"]), (1_700_000_000_124, 5));
    }
}
