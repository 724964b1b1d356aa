//! Names of months, weekdays, halves of the day and eras in the languages that patterns can read. The names are data
//! (`names.tsv`); which of them a text has is found here, the meaning of its value is left to `fields`.

/// The names of one locale.
#[derive(Clone, Debug)]
pub(crate) struct Locale {
    language: String,
    /// The columns of the locale's row: months, short months, weekdays, short weekdays, halves of the day, eras.
    columns: [&'static str; 6],
}

/// Names and their values, for reading.
#[derive(Debug)]
pub(crate) struct NameTable {
    /// By first byte, then the longest first.
    names: Vec<(Box<[u8]>, i64)>,
    /// Where the names with each first byte begin; one more for the end.
    starts: Box<[u16; 257]>,
}

const NAMES: &str = include_str!("names.tsv");

impl Locale {
    /// The locale of a BCP 47 tag (`fr`, `fr-CA`, `zh-Hant-TW`, also with underscores): the names of its region and script,
    /// else those of its language; those of no language, which are the short English ones, if Java knows no other.
    pub(crate) fn of_tag(tag: &str) -> Locale {
        let mut subtags = tag.split(['-', '_']).peekable();
        let mut language = subtags.next().unwrap_or_default().to_ascii_lowercase();
        if !(2..=8).contains(&language.len()) || !language.bytes().all(|letter| letter.is_ascii_alphabetic())
        {
            language.clear();
        }
        let script = subtags
            .next_if(|subtag| subtag.len() == 4 && subtag.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let script = script.map(|script| {
            format!("-{}{}", script[..1].to_ascii_uppercase(), script[1..].to_ascii_lowercase())
        });
        let region = subtags.next_if(|subtag| subtag.len() == 2 || subtag.len() == 3);
        let region = region.map(|region| format!("-{}", region.to_ascii_uppercase()));
        let (script, region) = (script.unwrap_or_default(), region.unwrap_or_default());
        let row_of = |wanted: &str| {
            let is_wanted =
                |row: &&str| row.split('\t').next().unwrap_or_default().split(',').any(|tag| tag == wanted);
            NAMES.lines().filter(|line| !line.starts_with('#')).find(is_wanted)
        };
        let row = row_of(&format!("{language}{script}{region}"))
            .or_else(|| row_of(&format!("{language}{script}")))
            .or_else(|| row_of(&format!("{language}{region}")))
            .or_else(|| row_of(&language))
            .or_else(|| row_of("und"))
            .unwrap_or_default();
        let mut columns = [""; 6];
        for (column, names) in columns.iter_mut().zip(row.split('\t').skip(1)) {
            *column = names;
        }
        Locale { language, columns }
    }

    /// Whether its language is English.
    pub(crate) fn is_english(&self) -> bool {
        self.language == "en"
    }

    /// Months, with values from 1.
    pub(crate) fn months(&self) -> NameTable {
        self.table(&[self.columns[1], self.columns[0]], 1, &[])
    }

    /// Weekdays, with values from 1 for Monday.
    pub(crate) fn weekdays(&self) -> NameTable {
        self.table(&[self.columns[3], self.columns[2]], 1, &[])
    }

    /// Morning 0, afternoon 1.
    pub(crate) fn half_days(&self) -> NameTable {
        self.table(&[self.columns[4]], 0, &[])
    }

    /// Before 0, after 1.
    pub(crate) fn eras(&self) -> NameTable {
        // Joda adds these where the language is English.
        let more: &[(&str, i64)] = if self.is_english() { &[("BCE", 0), ("CE", 1)] } else { &[] };
        self.table(&[self.columns[5]], 0, more)
    }

    /// Each name as it is, all lower and all upper. Of equal names the first counts.
    fn table(&self, columns: &[&str], first: i64, more: &[(&str, i64)]) -> NameTable {
        let mut names: Vec<(Box<[u8]>, i64)> = Vec::new();
        let mut add = |name: &str, value: i64| {
            for form in [name.to_owned(), self.lower(name), self.upper(name)] {
                let form = form.into_bytes().into_boxed_slice();
                if !form.is_empty() && names.iter().all(|(other, _)| *other != form) {
                    names.push((form, value));
                }
            }
        };
        for column in columns {
            for (name, value) in column.split('|').zip(first..) {
                add(name, value);
            }
        }
        for (name, value) in more {
            add(name, *value);
        }
        let length = |name: &[u8]| std::cmp::Reverse(name.len());
        names.sort_by(|(one, _), (other, _)| {
            (one.first(), length(one), one).cmp(&(other.first(), length(other), other))
        });
        let mut starts = Box::new([0_u16; 257]);
        for (byte, start) in (0_usize..).zip(starts.iter_mut()) {
            let before =
                names.iter().filter(|(name, _)| name.first().is_some_and(|&first| usize::from(first) < byte));
            *start = u16::try_from(before.count()).unwrap_or(u16::MAX);
        }
        NameTable { names, starts }
    }

    /// Turkish has an i without a dot, and its capital with one.
    fn has_dotless_i(&self) -> bool {
        matches!(self.language.as_str(), "tr" | "az")
    }

    fn lower(&self, name: &str) -> String {
        if self.has_dotless_i() {
            name.replace('I', "ı").replace('İ', "i").to_lowercase()
        } else {
            name.to_lowercase()
        }
    }

    fn upper(&self, name: &str) -> String {
        if self.has_dotless_i() { name.replace('i', "İ").to_uppercase() } else { name.to_uppercase() }
    }
}

impl NameTable {
    /// The value of the longest name at this place in a text, and where it ends.
    pub(crate) fn read(&self, text: &[u8], at: usize) -> Option<(i64, usize)> {
        let rest = text.get(at..)?;
        let first = usize::from(*rest.first()?);
        let start = usize::from(*self.starts.get(first)?);
        let end = usize::from(*self.starts.get(first + 1)?);
        let (name, value) = self.names.get(start..end)?.iter().find(|(name, _)| rest.starts_with(name))?;
        Some((*value, at + name.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, names: impl Fn(&Locale) -> NameTable, text: &str, expected: Option<(i64, usize)>) {
        let locale = Locale::of_tag(tag);
        assert_eq!(names(&locale).read(text.as_bytes(), 0), expected, "{tag} {text:?}");
    }

    #[test]
    fn names_of_locales() {
        check("en", Locale::months, "March 4", Some((3, 5)));
        check("en", Locale::months, "MAR", Some((3, 3)));
        check("en", Locale::months, "mAr", None);
        check("en_US", Locale::months, "Sept", Some((9, 3)));
        check("en-GB", Locale::months, "Sept", Some((9, 4)));
        check("fr_FR", Locale::months, "juillet", Some((7, 7)));
        check("fr", Locale::months, "July", None);
        check("de-AT", Locale::months, "Jänner", Some((1, 7)));
        check("zh-Hant-TW", Locale::months, "12月", Some((12, 5)));
        check("zh_Hans_TW", Locale::months, "十二月", Some((12, 9)));
        check("zh-TW", Locale::half_days, "下午", Some((1, 6)));
        check("tr", Locale::months, "KASIM", Some((11, 5)));
        check("az", Locale::months, "İYUN", Some((6, 5)));
        check("ca", Locale::months, "de març", Some((3, 8)));
        check("sr-Latn-ME", Locale::weekdays, "utorak", Some((2, 6)));
        check("sr", Locale::weekdays, "уторак", Some((2, 12)));
        check("iw", Locale::months, "מרץ", Some((3, 6)));
        check("en", Locale::weekdays, "sunday", Some((7, 6)));
        check("en", Locale::half_days, "pm", Some((1, 2)));
        check("en", Locale::eras, "BCE", Some((0, 3)));
        check("xx", Locale::months, "Jan", Some((1, 3)));
        check("xx", Locale::months, "January", Some((1, 3)));
        check("", Locale::months, "Jan", Some((1, 3)));
    }

    #[test]
    fn every_row_is_whole() {
        for row in NAMES.lines().filter(|line| !line.starts_with('#')) {
            let counts: Vec<usize> = row.split('\t').skip(1).map(|names| names.split('|').count()).collect();
            assert_eq!(counts, [12, 12, 7, 7, 2, 2], "{row}");
        }
    }
}
