//! Enums with data that may grow: in JSON a variant that this version does not know is passed over, and
//! only its name is kept.
//!
//! A variant in JSON is `"name"`, or `{"name": data}`. serde's own reader of enums must know before it
//! begins which of the two is there, so here JSON is read as whatever stands there. bincode has no
//! names: it is only spoken between equal revisions, where every variant is known.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserializer, Serializer};

use super::UnknownName;

/// An enum with data that may grow; [`open_variants`] implements it.
pub(super) trait Open: Sized {
    /// The names of the variants that this version knows, as they stand in JSON.
    const NAMES: &'static [&'static str];

    /// A variant that this version does not know.
    fn unknown(name: UnknownName) -> Self;

    /// Its name, if this is one.
    fn as_unknown(&self) -> Option<&UnknownName>;

    /// Reads a variant that this version knows.
    fn read_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Writes a variant that this version knows.
    fn write_known<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

pub(super) fn serialize<T: Open, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value.as_unknown() {
        Some(name) if serializer.is_human_readable() => serializer.serialize_str(name.as_str()),
        Some(name) => Err(serde::ser::Error::custom(format!(
            "bincode has no {name:?} in this revision"
        ))),
        None => value.write_known(serializer),
    }
}

pub(super) fn deserialize<'de, T: Open, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Variant(PhantomData))
    } else {
        T::read_known(deserializer)
    }
}

struct Variant<T>(PhantomData<T>);

impl<'de, T: Open> Visitor<'de> for Variant<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or an object with a name as its only key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        if T::NAMES.contains(&name) {
            T::read_known(name.into_deserializer())
        } else {
            Ok(T::unknown(UnknownName::new(name)))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        if T::NAMES.contains(&name.as_str()) {
            let key = Some(name);
            return T::read_known(MapAccessDeserializer::new(Begun { key, map }));
        }
        let IgnoredAny = map.next_value()?;
        match map.next_key::<IgnoredAny>()? {
            Some(_) => Err(A::Error::invalid_length(2, &self)),
            None => Ok(T::unknown(UnknownName::new(&name))),
        }
    }
}

/// A map whose first key was read already.
struct Begun<A> {
    key: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.key.take() {
            Some(key) => seed.deserialize(key.into_deserializer()).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Lets an enum with a last variant `Unknown(UnknownName)` grow. The enum derives serde's traits with
/// `remote = "Self"`, which makes functions of its own of them, for the variants that are known.
macro_rules! open_variants {
    ($type:ident: $($name:literal),+ $(,)?) => {
        impl $crate::protocol::open::Open for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn unknown(name: $crate::protocol::UnknownName) -> Self {
                Self::Unknown(name)
            }

            fn as_unknown(&self) -> Option<&$crate::protocol::UnknownName> {
                match self {
                    Self::Unknown(name) => Some(name),
                    _ => None,
                }
            }

            fn read_known<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }

            fn write_known<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::protocol::open::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::protocol::open::deserialize(deserializer)
            }
        }
    };
}

pub(super) use open_variants;
