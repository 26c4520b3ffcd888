//! Which part of a file a client asks for (RFC 9110, section 14).

/// What of a file to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    From {
        first: u64,
        length: u64,
    },
    /// Nothing of the file lies there.
    Outside,
}

/// Reads the header `Range`. What is no range of bytes is passed over, as the RFC has it, and so are several at once: the
/// whole file answers both.
pub(super) fn part(header: Option<&str>, size: u64) -> Part {
    let Some(wanted) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = wanted.trim().split_once('-') else { return Part::Whole };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Part::Whole;
    }
    // A number too large for us lies behind the end of any file.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (first, last) {
        ("", "") => Part::Whole,
        ("", last) => match number(last).min(size) {
            0 => Part::Outside,
            length => Part::From { first: size - length, length },
        },
        (first, last) => {
            let first = number(first);
            let last = if last.is_empty() { u64::MAX } else { number(last) };
            if last < first {
                return Part::Whole;
            }
            if first >= size {
                return Part::Outside;
            }
            Part::From { first, length: last.min(size - 1) - first + 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let from = |first, length| Part::From { first, length };
        for (header, part_) in [
            ("bytes=0-9", from(0, 10)),
            ("bytes=90-", from(90, 10)),
            ("bytes=-5", from(95, 5)),
            ("bytes=-500", from(0, 100)),
            ("bytes=0-500", from(0, 100)),
            ("bytes=99-99", from(99, 1)),
            ("bytes=100-", Part::Outside),
            ("bytes=99999999999999999999-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=9-3", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("pages=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 100), part_, "{header}");
        }
        assert_eq!(part(None, 100), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Outside);
    }
}
