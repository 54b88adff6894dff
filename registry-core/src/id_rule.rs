//! A rule that restricts the characters of ids further than an id itself does.

use crate::id::InvalidId;

/// Which characters a registry accepts in the ids of registrations.
///
/// An id may contain any character that is not a control character. Two ids may therefore differ only in invisible
/// characters and look the same to a reader; [`Visible`](Self::Visible) rejects those. It does not reject letters of
/// different alphabets that look alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum IdRule {
    /// Accepts every valid id.
    #[default]
    Any,
    /// Rejects characters that are invisible or change the direction of text: those with the property
    /// Default_Ignorable_Code_Point of Unicode 16.0.0, which includes all bidirectional controls, and the line and
    /// paragraph separators.
    ///
    /// The variation selectors and joiners that some emoji and scripts use are rejected as well.
    Visible,
}

impl IdRule {
    /// Checks an id against this rule. O(length); ASCII text takes no table lookup.
    ///
    /// # Errors
    ///
    /// [`InvalidId::Invisible`], with the first rejected character and its byte offset.
    pub fn check(self, id: &str) -> Result<(), InvalidId> {
        if self == Self::Any || id.is_ascii() {
            return Ok(());
        }
        match id.char_indices().find(|&(_, character)| is_invisible(character)) {
            Some((at, character)) => Err(InvalidId::Invisible { character, at }),
            None => Ok(()),
        }
    }
}

fn is_invisible(character: char) -> bool {
    let after = INVISIBLE.partition_point(|&(first, _)| first <= character);
    after > 0 && character <= INVISIBLE[after - 1].1
}

/// The inclusive ranges of rejected characters, ascending: Default_Ignorable_Code_Point from
/// `DerivedCoreProperties.txt` of Unicode 16.0.0, and U+2028 to U+202E, which adds the two separators.
const INVISIBLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_matches_unicode_16() {
        assert!(
            INVISIBLE.is_sorted_by(|one, two| one.1 < two.0) && INVISIBLE.iter().all(|(first, last)| first <= last)
        );
        // 4,174 code points are ignorable by default, and the separators are two more.
        assert_eq!(INVISIBLE.iter().map(|&(first, last)| (first..=last).count()).sum::<usize>(), 4_174 + 2);
        let bidirectional =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert!(
            bidirectional.chars().chain(['\u{2028}', '\u{2029}', '\u{200b}', '\u{feff}', '\u{ad}']).all(is_invisible)
        );
        assert!(!" aé語🦀\u{a0}\u{2027}\u{202f}\u{e1000}\u{301}".chars().any(is_invisible));
    }

    #[test]
    fn first_invisible_character_is_reported_with_its_offset() {
        let error = IdRule::Visible.check("é\u{200b}\u{202e}").unwrap_err();
        assert_eq!(error, InvalidId::Invisible { character: '\u{200b}', at: 2 });
        assert_eq!(error.to_string(), "an id here cannot contain invisible characters, this one has U+200B at byte 2");
        assert_eq!(IdRule::Any.check("\u{200b}"), Ok(()));
        assert_eq!(IdRule::Visible.check("tools/search-é"), Ok(()));
    }
}
