//! One line of a `.env` file.
//!
//! Written here, since no library for it is kept: the usual one has had no release since March 2023.
//! What that one took beyond `NAME=value` with quotes and escapes (variables inside values, values of
//! several lines) is refused by name, so that no line changes its meaning in silence.

/// Why a line is not an entry. None of them quotes the line, which may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAnEntry {
    /// No name, or something else than a name before the `=`.
    #[error("this is not NAME=value")]
    Name,
    /// Text after the value.
    #[error("the value has spaces. Put quotes around it")]
    Spaces,
    /// A `$` that would be a variable in a shell.
    #[error(
        "values are taken as they stand, without variables. Put single quotes around one with $"
    )]
    Variable,
    /// A `\` before something it does not escape.
    #[error("a \\ stands before something it does not escape. Put single quotes around the value")]
    Escape,
    /// A quote without its end.
    #[error("a quote is not closed on its line")]
    Quote,
}

/// Returns a line's name and value; `None` for an empty line and a comment.
///
/// In single quotes everything stands for itself. Elsewhere a `\` escapes `\`, quotes, `$` and a space,
/// and `\n` is a line break. Without quotes a space ends the value, and only a comment may follow.
pub(super) fn entry(line: &str) -> Result<Option<(String, String)>, NotAnEntry> {
    let line = line.trim().trim_start_matches('\u{feff}');
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, written) = line.split_once('=').ok_or(NotAnEntry::Name)?;
    let name = name.trim();
    let name = match name.split_once(char::is_whitespace) {
        Some(("export", rest)) => rest.trim(),
        _ => name,
    };
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if !name.starts_with(first) || !name.chars().all(known) {
        return Err(NotAnEntry::Name);
    }
    Ok(Some((name.to_owned(), value(written.trim_start())?)))
}

fn value(written: &str) -> Result<String, NotAnEntry> {
    if written.starts_with('#') {
        return Ok(String::new());
    }
    let (mut out, mut quote) = (String::new(), None);
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some('\'')) => out.push(c),
            ('\\', _) => match rest.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '\'' | '"' | '$' | ' ')) => out.push(c),
                _ => return Err(NotAnEntry::Escape),
            },
            ('$', _) => return Err(NotAnEntry::Variable),
            ('\'' | '"', None) => quote = Some(c),
            (' ' | '\t', None) => {
                let after = rest.as_str().trim_start();
                let comment = after.is_empty() || after.starts_with('#');
                return if comment { Ok(out) } else { Err(NotAnEntry::Spaces) };
            }
            (c, _) => out.push(c),
        }
    }
    if quote.is_some() { Err(NotAnEntry::Quote) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_a_shell_would_make_of_it() {
        for (line, value) in [
            ("A=b", "b"),
            ("  export A = b  ", "b"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=b # why", "b"),
            ("A=b#c=d", "b#c=d"),
            (r#"A="b  # c" # why"#, "b  # c"),
            (r"A='b $c \n'", r"b $c \n"),
            (r#"A="b\n\"\$\\""#, "b\n\"$\\"),
            (r"A=b\ c", "b c"),
            (r#"A=b'c'"d""#, "bcd"),
            ("A=\u{e9}", "\u{e9}"),
        ] {
            assert_eq!(entry(line), Ok(Some(("A".into(), value.into()))), "{line}");
        }
        assert_eq!((entry(""), entry("  # A=b")), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_no_entry_is_refused_by_name() {
        for (line, why) in [
            ("A", NotAnEntry::Name),
            ("=b", NotAnEntry::Name),
            ("1A=b", NotAnEntry::Name),
            ("A B=c", NotAnEntry::Name),
            ("A=b c", NotAnEntry::Spaces),
            ("A=b$C", NotAnEntry::Variable),
            ("A=\"${C}\"", NotAnEntry::Variable),
            (r"A=C:\Users", NotAnEntry::Escape),
            (r"A=b\", NotAnEntry::Escape),
            ("A='b", NotAnEntry::Quote),
            ("A=\"b", NotAnEntry::Quote),
        ] {
            assert_eq!(entry(line), Err(why), "{line}");
        }
    }
}
