//! `convert_datatype`: texts to whole numbers and exact decimals, as Java's `BigDecimal` reads them.

use weir_filter::{
    Decimal, Event, Failure, Field, FieldReference, Outcome, Plan, Value, float_text, java_text,
};

/// What a field is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberType {
    /// A whole number of any size, cut toward zero.
    Int,
    /// An exact decimal: `12.50` stays `12.50`.
    Float,
}

/// One entry of `convert_datatype`.
#[derive(Debug)]
pub(crate) struct Conversion {
    /// The field, or what is wrong with its name: an error of every event, as in Logstash.
    field: Result<Field, Failure>,
    number_type: NumberType,
    /// The tag for a field that is not there, or null.
    no_value: String,
    /// The tag for a value that is no number.
    no_number: String,
}

impl Conversion {
    /// Checks an entry. The problem comes with a way to mend it.
    pub(crate) fn new(name: &str, written: &str, plan: &mut Plan) -> Result<Self, (String, String)> {
        let number_type = match written.to_ascii_lowercase().as_str() {
            "int" => NumberType::Int,
            "float" => NumberType::Float,
            _ => {
                let message = format!("{name} cannot be converted to {written:?}");
                return Err((message, "the types are int and float".to_owned()));
            }
        };
        let reference = FieldReference::parse(name).map_err(Failure::new);
        Ok(Conversion {
            field: reference.map(|reference| plan.read_write(&reference)),
            number_type,
            // The tags have the reference and the type as they were written.
            no_value: format!("_dataconversionnullvalue_{name}_{written}"),
            no_number: format!("_dataconversionuncoercible_{name}_{written}"),
        })
    }

    fn convert(&self, field: Field, event: &mut Event<'_>) -> Result<(), &str> {
        let mut written = String::new();
        let text = match event.get(field) {
            None | Some(Value::Null) => return Err(&self.no_value),
            Some(Value::Text(text) | Value::Json(text)) => text,
            Some(Value::Integer(number)) => {
                written = number.to_string();
                &written
            }
            Some(Value::Float(number)) => {
                float_text::write_java(number, &mut written);
                &written
            }
            Some(Value::Boolean(_) | Value::Timestamp(_) | Value::Object) => return Err(&self.no_number),
        };
        let decimal = Decimal::parse(&java_text::ascii_digits(text)).ok_or(self.no_number.as_str())?;
        let number = match self.number_type {
            NumberType::Int => decimal.whole_text(),
            NumberType::Float => decimal.java_text(),
        };
        let value = match self.number_type {
            NumberType::Int => Value::from_json_number(&number),
            NumberType::Float => Value::Json(&number),
        };
        event.set(field, value).map_err(|_| self.no_number.as_str())
    }
}

/// Converts all; what cannot be converted stays, with a tag.
///
/// # Errors
/// If a name is no field reference: the conversions after it are left out.
pub(crate) fn convert_all(conversions: &[Conversion], event: &mut Event<'_>) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Ignored;
    for conversion in conversions {
        let field = conversion.field.clone()?;
        if let Err(tag) = conversion.convert(field, event) {
            event.tag(tag);
            outcome = Outcome::Tagged;
        }
    }
    Ok(outcome)
}
