//! Patterns and what they print.

use super::*;
use crate::timestamp;

fn check(pattern: Result<DatePattern, String>, time: &str, expected: &str) {
    let mut text = String::new();
    let time_of = timestamp::parse(time).expect("a time");
    pattern.expect("a pattern").write(time_of, &mut text).expect("it fits");
    assert_eq!(text, expected, "{time}");
}

const TIME: &str = "2015-03-04T05:06:07.089Z";

#[test]
fn joda() {
    for (pattern, expected) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2015-03-04T05:06:07.089+0000"),
        ("ZZZ ZZ z zzzz", "UTC +00:00 UTC Coordinated Universal Time"),
        ("yy M/d", "15 3/4"),
        ("MMM MMMM EEE EEEE", "Mar March Wed Wednesday"),
        ("hh:mm a K k", "05:06 AM 5 5"),
        ("D DDD e", "63 063 3"),
        ("xxxx-'W'ww", "2015-W10"),
        ("S SSS SSSSS", "0 089 08900"),
        ("G CC YYYYY", "AD 20 02015"),
        ("'it''s' ''ss''", "it's '07'"),
        ("%ss'open", "%07open"),
    ] {
        check(DatePattern::joda(pattern), TIME, expected);
    }
    check(DatePattern::joda("xxxx.ww YYYY.ww"), "2013-12-31", "2014.01 2013.01");
    check(DatePattern::joda("SSSSSSSSS"), "2015-03-04T05:06:07.123456789Z", "123000000");
    check(DatePattern::joda("hh KK kk a"), "2015-03-04T12:00Z", "12 00 12 PM");
    check(DatePattern::joda("hh kk"), "2015-03-04T00:00Z", "12 24");
}

#[test]
fn java_time() {
    for (pattern, expected) in [
        ("uuuu-MM-dd'T'HH:mm:ss.SSS", "2015-03-04T05:06:07.089"),
        ("YYYY-'W'ww", "2015-W10"),
        ("D Q QQQ QQQQ", "63 1 Q1 1st quarter"),
        ("XXX VV xx x Z ZZZZ O", "Z Z +0000 +00 +0000 GMT GMT"),
        ("SSSSSSSSS n", "089000000 89000000"),
        ("LLL EEEE EEEEE GGGG", "Mar Wednesday W Anno Domini"),
        ("yyyy[ HH]", "2015 05"),
        ("ppppd|", "   4|"),
        ("W F e ee c", "1 1 4 04 4"),
        ("B BBBB BBBBB", "at night at night at night"),
        ("yyyyyyyyyy uuuuuuuuuuuuuuuuuuu", "0000002015 0000000000000002015"),
        ("ppppSSS|ppe", " 089| 4"),
        ("[[yyyy", "2015"),
    ] {
        check(DatePattern::java_time(pattern), TIME, expected);
    }
    // Weeks begin on Sunday, and the first holds January 1st.
    check(DatePattern::java_time("YYYY-ww W e"), "2021-01-02T00:00Z", "2021-01 1 7");
    check(DatePattern::java_time("YYYY-ww W e"), "2021-01-03T00:00Z", "2021-02 2 1");
    check(DatePattern::java_time("YYYY-ww W e"), "2020-12-27T00:00Z", "2021-01 5 1");
    check(DatePattern::java_time("YYYY-ww W e"), "2020-12-26T00:00Z", "2020-52 4 7");
    check(DatePattern::java_time("B|BBBBB"), "2015-03-04T12:00:59Z", "noon|n");
    check(DatePattern::java_time("B|BBBBB"), "2015-03-04T00:00:59Z", "midnight|mi");
    check(DatePattern::java_time("B"), "2015-03-04T12:01Z", "in the afternoon");
    check(DatePattern::java_time("B"), "2015-03-04T18:00Z", "in the evening");
    check(DatePattern::java_time("SSSSSSSSS"), "2015-03-04T05:06:07.123456789Z", "123456789");
}

#[test]
fn refused() {
    for pattern in ["bb", "yyyy i", "J"] {
        assert!(DatePattern::joda(pattern).is_err(), "{pattern}");
    }
    for pattern in [
        "b",
        "ddd",
        "SSSSSSSSSS",
        "V",
        "'open",
        "yyyy#",
        "p",
        "OO",
        "d]",
        "pp d",
        "p[d]",
        "BB",
        "yyyyyyyyyyy",
    ] {
        assert!(DatePattern::java_time(pattern).is_err(), "{pattern}");
    }
    let too_long = DatePattern::java_time("ppyyyy").expect("a pattern").write(0, &mut String::new());
    assert!(too_long.is_err());
}
