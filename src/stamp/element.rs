//! The elements of DER, one after another: CMS is deeply nested, and little of it is needed.

use der::{Decode as _, Header, Reader as _, SliceReader, Tag, asn1::ObjectIdentifier};

/// An element.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    /// Its content.
    pub(super) value: &'a [u8],
    /// All of it, as it was written.
    pub(super) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements that it is made of.
    pub(super) fn inner(self) -> Result<Elements<'a>, der::Error> {
        all(self.value)
    }

    /// The identifier that it is.
    pub(super) fn oid(self) -> Result<ObjectIdentifier, der::Error> {
        ObjectIdentifier::from_der(self.whole)
    }

    /// Whether it has the number of an optional member.
    pub(super) fn is_member(self, number: u8) -> bool {
        let octet = 0xa0 | number;
        self.whole.first() == Some(&octet)
    }
}

/// Elements that are taken from the front.
pub(super) struct Elements<'a>(std::vec::IntoIter<Element<'a>>);

impl<'a> Elements<'a> {
    /// The next one.
    pub(super) fn one(&mut self) -> Result<Element<'a>, der::Error> {
        let none = || der::ErrorKind::Incomplete {
            expected_len: der::Length::ONE,
            actual_len: der::Length::ZERO,
        };
        self.0.next().ok_or_else(|| none().into())
    }

    /// The next one, which must have that tag.
    pub(super) fn tagged(&mut self, tag: Tag) -> Result<Element<'a>, der::Error> {
        let next = self.one()?;
        next.tag.assert_eq(tag)?;
        Ok(next)
    }

    /// The next one, if it is an optional member of that number.
    pub(super) fn member(&mut self, number: u8) -> Option<Element<'a>> {
        let is_it = self.0.as_slice().first()?.is_member(number);
        if is_it { self.0.next() } else { None }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.0.next()
    }
}

/// All elements of a text.
pub(super) fn all(bytes: &[u8]) -> Result<Elements<'_>, der::Error> {
    let mut reader = SliceReader::new(bytes)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        let whole = reader.tlv_bytes()?;
        let mut of_one = SliceReader::new(whole)?;
        let header = Header::decode(&mut of_one)?;
        found.push(Element {
            tag: header.tag(),
            value: of_one.read_slice(header.length())?,
            whole,
        });
    }
    Ok(Elements(found.into_iter()))
}
