//! Items of a message that may be invalid one by one: an invalid name makes its own item invalid, not the message and
//! not the connection.
//!
//! Which items these are is written in `docs/protocol.md`, with what is answered. Everything else about them must
//! be right: an entry whose id is too short makes the whole message unreadable.

use std::error::Error as _;

use minicbor::decode::Error;

use crate::name::InvalidName;

/// Something with a name that the other side gave it; an error where that breaks the rule for names.
pub type Checked<T> = Result<T, InvalidName>;

/// Separates the valid items from the others. The text has the first invalid name with the reason, and how many more
/// there are; `None` if all items are valid.
pub(crate) fn split_valid<T>(claimed: Vec<Checked<T>>) -> (Vec<T>, Option<String>) {
    let mut items = Vec::with_capacity(claimed.len());
    let (mut first, mut more) = (None, 0_usize);
    for item in claimed {
        match item {
            Ok(item) => items.push(item),
            Err(wrong) if first.is_none() => first = Some(wrong),
            Err(_) => more += 1,
        }
    }
    let more = match more {
        0 => String::new(),
        1 => "; 1 more beside it does".to_owned(),
        _ => format!("; {more} more beside it do"),
    };
    (items, first.map(|wrong| format!("{wrong}{more}")))
}

/// One claimed item: `#[cbor(with = "item_validation::one")]`.
pub(super) mod one {
    use minicbor::{
        Decode, Decoder, Encode, Encoder,
        decode::Error,
        encode::{self, Write},
    };

    use crate::wire::item_validation::{Checked, invalid_name};

    /// Writes the item, or the wrong name itself.
    pub(crate) fn encode<C, T: Encode<C>, W: Write>(
        claimed: &Checked<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match claimed {
            Ok(item) => item.encode(e, ctx),
            Err(wrong) => e.str(&wrong.name)?.ok(),
        }
    }

    /// Reads the item; one with a wrong name is read past.
    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Checked<T>, Error> {
        let start = d.position();
        match T::decode(d, ctx) {
            Ok(item) => Ok(Ok(item)),
            Err(error) => {
                let wrong = invalid_name(&error).ok_or(error)?;
                d.set_position(start);
                d.skip()?;
                Ok(Err(wrong))
            }
        }
    }
}

/// An array of claimed items: `#[cbor(with = "item_validation::many")]`.
pub(super) mod many {
    use minicbor::{
        Decode, Decoder, Encode, Encoder,
        decode::Error,
        encode::{self, Write},
    };

    use crate::wire::item_validation::{Checked, one};

    /// Writes those that are right: a wrong one has nothing but its name.
    pub(crate) fn encode<C, T: Encode<C>, W: Write>(
        claimed: &[Checked<T>],
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(claimed.iter().flatten().count() as u64)?;
        claimed.iter().flatten().try_for_each(|item| item.encode(e, ctx))
    }

    /// Reads all of them. The frame bounds how many there are: each takes a byte at least.
    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Vec<Checked<T>>, Error> {
        let mut items = vec![]; // what the array says of its length is believed as far as items come
        let length = d.array()?;
        let mut left = length.unwrap_or(u64::MAX);
        while left > 0 {
            if length.is_none() && d.datatype()? == minicbor::data::Type::Break {
                d.skip()?;
                break;
            }
            items.push(one::decode(d, ctx)?);
            left -= 1;
        }
        Ok(items)
    }
}

/// The wrong name that an item was not read for, if that was the cause.
fn invalid_name(error: &Error) -> Option<InvalidName> {
    error.source()?.downcast_ref::<InvalidName>().cloned()
}

#[cfg(test)]
mod tests {
    use minicbor::Encoder;

    use crate::{
        name::NameError,
        wire::{
            Message,
            manager::{Announce, Join, ToManager, Withdraw},
        },
    };

    /// An announcement as somebody writes it who does not know the rule; the last entry's id has `id_bytes` bytes.
    fn announcement(names: &[&str], id_bytes: usize, indefinite: bool) -> Vec<u8> {
        let mut e = Encoder::new(vec![]);
        e.map(2).unwrap().u8(0).unwrap().u64(7).unwrap().u8(1).unwrap();
        match indefinite {
            true => e.begin_array().unwrap(),
            false => e.array(names.len() as u64).unwrap(),
        };
        for (at, name) in names.iter().enumerate() {
            let id_bytes = if at + 1 == names.len() { id_bytes } else { 32 };
            e.map(5).unwrap().u8(0).unwrap().str(name).unwrap();
            e.u8(1).unwrap().bytes(&vec![3; id_bytes]).unwrap().u8(2).unwrap().u64(5).unwrap();
            e.u8(3).unwrap().i64(-1).unwrap().u8(4).unwrap().bool(true).unwrap();
        }
        if indefinite {
            e.end().unwrap();
        }
        e.into_writer()
    }

    #[test]
    fn an_invalid_name_spoils_its_entry_alone() {
        for indefinite in [false, true] {
            let body = announcement(&["a", "../b", "c", ""], 32, indefinite);
            let Ok(Some(ToManager::Announce(Announce { number: 7, entries }))) =
                ToManager::decode(0x11, &body)
            else {
                panic!()
            };
            let found: Vec<_> = entries
                .iter()
                .map(|entry| entry.as_ref().map(|e| e.name.as_str()).map_err(|w| (w.name.as_str(), w.error)))
                .collect();
            let expected = [Ok("a"), Err(("../b", NameError::Dots)), Ok("c"), Err(("", NameError::Empty))];
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn everything_else_that_is_wrong_spoils_the_message() {
        assert!(ToManager::decode(0x11, &announcement(&["a", "b"], 31, false)).is_err());
        assert!(ToManager::decode(0x11, &announcement(&["a", "b"], 32, false)[..40]).is_err());
        // A length that nothing follows allocates nothing.
        let claim = [0xa2, 0, 1, 1, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(ToManager::decode(0x11, &claim).is_err());
        assert!(ToManager::decode(0x12, &claim).is_err());
        assert!(ToManager::decode(0x10, &[0xa2, 0, 7, 1, 9]).is_err());
    }

    #[test]
    fn other_messages_with_names_read_back() {
        let names = vec![Ok("a/b".parse().unwrap()), Ok("c".parse().unwrap())];
        let join = Join { username: "fire_user".parse().map_err(|_| unreachable!()), port: 1, unbound: None };
        for message in [ToManager::from(Withdraw { number: 3, names }), join.into()] {
            let mut body = vec![];
            message.encode_body(&mut body);
            assert_eq!(ToManager::decode(message.kind(), &body), Ok(Some(message)));
        }
        let mut e = Encoder::new(vec![]);
        e.map(2).unwrap().u8(0).unwrap().str("a/b").unwrap().u8(1).unwrap().u16(7).unwrap();
        let Ok(Some(ToManager::Join(join))) = ToManager::decode(0x10, &e.into_writer()) else { panic!() };
        assert_eq!(join.username.unwrap_err().error, NameError::Character('/'));
        assert_eq!(join.port, 7);
    }
}
