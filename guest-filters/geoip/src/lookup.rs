//! A batch through the database: which rows have an address, what is found for it, what is stored where, and what is
//! said of rows for which nothing is.

use serde_json::Value as Json;
use weir_filter::addresses::Database;
use weir_filter::{Column, Events, Field, FieldReference, Plan, RowMask, Texts, Value, keep_rows};

use crate::columns::{NO_TEXT, intersection, presence, with_false};
use crate::kind::{GeoField, Kind, LATITUDE, LONGITUDE};

/// What is asked of the database, and where the answers go.
pub(crate) struct Lookup {
    database: Database,
    source: Field,
    target: Field,
    /// The ways into a record, each once.
    paths: Vec<Vec<String>>,
    stored: Vec<Stored>,
    /// The columns of which one must have a value; none: some value is there for every address that is found.
    wanted: Option<Vec<Wanted>>,
    /// The columns of latitude and longitude, if without either nothing counts as found.
    coordinates: Option<(usize, usize)>,
    /// The field of the location as a whole, with the columns of its parts: where there are both it is a new map, whatever
    /// was there.
    location: Option<(Field, usize, usize)>,
    /// Whether something may be found that is not stored (the three-letter country code with ECS).
    unstored: bool,
    tags: Vec<String>,
}

/// A field, and the column that it gets.
struct Stored {
    field: Field,
    column: usize,
    /// Stored only where this column has a value too.
    partner: Option<usize>,
    /// Stored as false where the column has no value.
    flag: bool,
    /// No later field gets the column.
    last: bool,
}

/// A value that counts as something found.
struct Wanted {
    column: usize,
    partner: Option<usize>,
}

/// The addresses of a batch, and the rows that have none.
struct Addresses {
    /// The rows with an address.
    rows: RowMask,
    /// The rows whose source cannot hold one.
    unfit: RowMask,
    /// Places in a text of one's own; none: the batch's column is taken as it is.
    own: Option<(Texts, String)>,
}

impl Lookup {
    /// Declares what is read and written, and what is asked.
    #[expect(clippy::too_many_arguments, reason = "called once, with the options as they were read")]
    pub(crate) fn new(
        database: Database,
        kind: Kind,
        source: &FieldReference,
        target: &FieldReference,
        fields: &[GeoField],
        ecs: bool,
        tags: Vec<String>,
        plan: &mut Plan,
    ) -> Self {
        let mut lookup = Lookup {
            database,
            source: plan.read(source),
            target: plan.read_write(target),
            paths: Vec::new(),
            stored: Vec::new(),
            wanted: Some(Vec::new()),
            coordinates: None,
            location: None,
            unstored: false,
            tags,
        };
        if kind == Kind::City {
            lookup.coordinates = Some((lookup.column(LATITUDE), lookup.column(LONGITUDE)));
        }
        for &field in fields {
            lookup.add(field, kind, target, ecs, plan);
        }
        for index in 0..lookup.stored.len() {
            let column = lookup.stored[index].column;
            lookup.stored[index].last = lookup.stored[index + 1..].iter().all(|later| later.column != column);
        }
        lookup
    }

    fn add(&mut self, field: GeoField, kind: Kind, target: &FieldReference, ecs: bool, plan: &mut Plan) {
        let Some(record) = field.record(kind) else { return };
        let column = self.column(record);
        let below = field.target(ecs);
        let partner = match field {
            GeoField::Location => Some(self.column(LONGITUDE)),
            _ => None,
        };
        if field.is_flag() || matches!(field, GeoField::Ip | GeoField::Network) {
            self.wanted = None;
        } else if let Some(wanted) = &mut self.wanted {
            wanted.push(Wanted { column, partner });
        }
        if below.is_empty() {
            self.unstored = true;
            return;
        }
        if let Some(longitude) = partner {
            let fragments = target.fragments().iter().map(String::as_str).chain(below.iter().copied());
            let field = plan.read_write(&FieldReference::from_fragments(fragments));
            self.location = Some((field, column, longitude));
            self.store(&[below, &["lat"]].concat(), target, column, partner, false, plan);
            self.store(&[below, &["lon"]].concat(), target, longitude, Some(column), false, plan);
        } else {
            self.store(below, target, column, None, field.is_flag(), plan);
        }
    }

    /// With ECS, location and latitude lead to the same field, which is then stored wherever there is a latitude.
    fn store(
        &mut self,
        below: &[&str],
        target: &FieldReference,
        column: usize,
        partner: Option<usize>,
        flag: bool,
        plan: &mut Plan,
    ) {
        let fragments = target.fragments().iter().map(String::as_str).chain(below.iter().copied());
        let field = plan.write(&FieldReference::from_fragments(fragments));
        match self.stored.iter_mut().find(|stored| stored.field == field) {
            Some(stored) if partner.is_none() => stored.partner = None,
            Some(_) => {}
            None => self.stored.push(Stored { field, column, partner, flag, last: false }),
        }
    }

    /// The number of a way's column.
    fn column(&mut self, record: &[&str]) -> usize {
        let known = self.paths.iter().position(|path| path.iter().eq(record.iter()));
        known.unwrap_or_else(|| {
            self.paths.push(record.iter().map(ToString::to_string).collect());
            self.paths.len() - 1
        })
    }

    /// Works on one batch.
    pub(crate) fn run(&self, events: &mut Events<'_>) {
        let rows = events.len();
        let addresses = self.addresses(events);
        let empty = Texts { starts: vec![0; rows], lens: vec![NO_TEXT; rows] };
        let (found, columns) = match &addresses.own {
            Some((texts, text)) => self.database.lookup(texts, text, &self.paths),
            None => {
                let texts = events.texts(self.source).unwrap_or(&empty);
                self.database.lookup(texts, events.text(), &self.paths)
            }
        };
        let found = intersection(&found, &addresses.rows);
        let mut stored = self.rows_to_store(&found, &columns);

        // An address without a target makes one: an empty map, also if nothing is found.
        let (without_target, null_target) = self.missing_targets(events, &addresses.rows);
        let mut blocked = events.blocked(self.target);
        self.replace_locations(events, &columns, &stored);
        let mut made = without_target;
        made.subtract(&self.rows_with_fields(&stored, &columns));
        made.union(&null_target);
        let unmakeable = intersection(&made, &blocked);
        made.subtract(&unmakeable);
        for stored in &self.stored {
            blocked.union(&events.blocked(stored.field));
        }
        blocked.subtract(&made);
        let mut failed = intersection(&stored, &blocked);
        failed.union(&unmakeable);
        stored.subtract(&failed);

        if events.set_in_rows(self.target, Value::Object, &made).is_err() {
            // What blocks a target was looked at above.
            failed.union(&made);
            stored.subtract(&made);
        }
        self.store_columns(events, columns, &found, &stored);

        let mut not_found = RowMask::all(rows);
        not_found.subtract(&stored);
        not_found.subtract(&failed);
        not_found.subtract(&addresses.unfit);
        events.matched(&stored);
        events.tagged(&not_found, &self.tags);
        events.failed(&failed, &self.tags, "the target, or something in it, is no map");
        events.failed(&addresses.unfit, &self.tags, "the source is no text and no list that begins with one");
    }

    fn addresses(&self, events: &mut Events<'_>) -> Addresses {
        let rows = events.len();
        let mut addresses = Addresses { rows: RowMask::none(rows), unfit: RowMask::none(rows), own: None };
        match events.column(self.source) {
            None | Some(Column::Absent) => {}
            Some(Column::Text(texts)) => {
                addresses.rows = RowMask::all(rows);
                let text = events.text().as_bytes();
                for (row, (start, length)) in texts.starts.iter().zip(&texts.lens).enumerate() {
                    // What begins with more than a blank is an address; the rest is looked at whole.
                    let has_text = *length != NO_TEXT && *length > 0;
                    let begins = has_text && text.get(*start as usize).is_some_and(|byte| *byte > b' ');
                    if !begins && events.text_at(texts, row).is_none_or(is_blank) {
                        addresses.rows.remove(row);
                    }
                }
            }
            Some(_) => {
                let mut texts = Texts { starts: vec![0; rows], lens: vec![NO_TEXT; rows] };
                let mut text = String::new();
                for row in 0..rows {
                    match events.event(row, |event| address_of(event.get(self.source))) {
                        Ok(Some(address)) => {
                            texts.starts[row] = text.len() as u32;
                            texts.lens[row] = address.len() as u32;
                            text.push_str(&address);
                            addresses.rows.insert(row);
                        }
                        Ok(None) => {}
                        Err(NoAddress) => addresses.unfit.insert(row),
                    }
                }
                addresses.own = Some((texts, text));
            }
        }
        addresses
    }

    /// The rows for which something is stored.
    fn rows_to_store(&self, found: &RowMask, columns: &[Column]) -> RowMask {
        let rows = found.rows();
        let mut stored = match &self.wanted {
            None => found.clone(),
            Some(wanted) => {
                let mut some = RowMask::none(rows);
                for Wanted { column, partner } in wanted {
                    let values = presence(&columns[*column], rows);
                    match partner {
                        Some(partner) => {
                            some.union(&intersection(&values, &presence(&columns[*partner], rows)))
                        }
                        None => some.union(&values),
                    }
                }
                intersection(found, &some)
            }
        };
        if let Some((latitude, longitude)) = self.coordinates {
            let mut either = presence(&columns[latitude], rows);
            either.union(&presence(&columns[longitude], rows));
            stored = intersection(&stored, &either);
        }
        stored
    }

    /// The rows that get a field.
    fn rows_with_fields(&self, stored: &RowMask, columns: &[Column]) -> RowMask {
        if !self.unstored {
            return stored.clone();
        }
        let mut some = RowMask::none(stored.rows());
        for stored in &self.stored {
            some.union(&presence(&columns[stored.column], some.rows()));
        }
        intersection(stored, &some)
    }

    /// Of the rows with an address, those without a target, and those whose target is null.
    fn missing_targets(&self, events: &mut Events<'_>, rows: &RowMask) -> (RowMask, RowMask) {
        let null = RowMask::none(rows.rows());
        match events.column(self.target) {
            None | Some(Column::Absent) => (rows.clone(), null),
            Some(Column::Object(maps)) => {
                let mut missing = rows.clone();
                missing.subtract(&RowMask::from_bytes(maps.clone(), rows.rows()));
                (missing, null)
            }
            Some(_) => {
                let (mut missing, mut null) = (RowMask::none(rows.rows()), null);
                for row in rows.iter() {
                    events.event(row, |event| match event.get(self.target) {
                        None => missing.insert(row),
                        Some(Value::Null) => null.insert(row),
                        Some(_) => {}
                    });
                }
                (missing, null)
            }
        }
    }

    /// Empties the locations that get both parts: Logstash sets them as a whole. One that cannot be set is seen later, as its
    /// parts cannot be set either.
    fn replace_locations(&self, events: &mut Events<'_>, columns: &[Column], stored: &RowMask) {
        let Some((location, latitude, longitude)) = self.location else { return };
        if matches!(events.column(location), None | Some(Column::Absent)) {
            return;
        }
        let rows = stored.rows();
        let both = intersection(&presence(&columns[latitude], rows), &presence(&columns[longitude], rows));
        for row in intersection(stored, &both).iter() {
            events.event(row, |event| {
                if event.get(location).is_some() {
                    let _ = event.set(location, Value::Object);
                }
            });
        }
    }

    fn store_columns(&self, events: &mut Events<'_>, columns: Vec<Column>, found: &RowMask, rows: &RowMask) {
        let presences: Vec<Option<RowMask>> = self
            .stored
            .iter()
            .map(|stored| stored.partner.map(|partner| presence(&columns[partner], rows.rows())))
            .collect();
        let mut columns: Vec<Option<Column>> = columns.into_iter().map(Some).collect();
        let some_are_not_stored = found != rows;
        for (stored, partner) in self.stored.iter().zip(presences) {
            let column =
                if stored.last { columns[stored.column].take() } else { columns[stored.column].clone() };
            let Some(mut column) = column else { continue };
            if stored.flag {
                column = with_false(&column, rows);
            } else if some_are_not_stored {
                keep_rows(&mut column, rows);
            }
            if let Some(partner) = partner {
                keep_rows(&mut column, &partner);
            }
            events.set_column(stored.field, column);
        }
    }
}

/// A source that cannot hold an address.
struct NoAddress;

/// The address in a source; of a list the first.
fn address_of(source: Option<Value<'_>>) -> Result<Option<String>, NoAddress> {
    let address = match source {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Text(text)) => text.to_owned(),
        Some(Value::Json(json)) => match serde_json::from_str(json) {
            Ok(Json::Array(list)) => match list.into_iter().next() {
                Some(Json::String(text)) => text,
                _ => return Err(NoAddress),
            },
            _ => return Err(NoAddress),
        },
        Some(_) => return Err(NoAddress),
    };
    Ok(Some(address).filter(|address| !is_blank(address)))
}

/// As Java trims: anything up to the space is nothing.
fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte <= b' ')
}
