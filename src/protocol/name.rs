//! Names that may grow: a newer daemon may say one that this version does not know.

use std::fmt;

/// A name that this version of the protocol does not know: a newer daemon said it.
///
/// It is kept as it was said, so that it can be shown and told further. A name has at most
/// [`UnknownName::MAX_LEN`] bytes; a longer one is cut. Characters that control a terminal become `?`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownName {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl UnknownName {
    /// The longest name, in bytes. No name of the protocol will be longer.
    pub const MAX_LEN: usize = 31;

    /// Keeps a name. Callers look among the known names first.
    pub(super) fn new(name: &str) -> Self {
        let mut kept = Self {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        let mut len = 0;
        for c in name.chars() {
            let c = if c.is_control() { '?' } else { c };
            let Some(room) = kept.bytes.get_mut(len..len + c.len_utf8()) else {
                break;
            };
            len += c.encode_utf8(room).len();
        }
        // MAX_LEN fits into a byte.
        kept.len = u8::try_from(len).unwrap_or_default();
        kept
    }

    /// The name as it stands in JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // Only whole characters were put in.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Makes a type travel as its name, in both encodings. It needs `Display` and `From<&str>`.
macro_rules! travels_as_name {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Name;

                impl serde::de::Visitor<'_> for Name {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the name of a ", stringify!($type)))
                    }

                    fn visit_str<E>(self, name: &str) -> Result<$type, E> {
                        Ok($type::from(name))
                    }
                }

                deserializer.deserialize_str(Name)
            }
        }
    };
}

/// Declares an enum of names that may grow. Each variant stands with its name in JSON. What is not
/// among them is `Unknown`, and keeps its name.
macro_rules! open_names {
    (
        $(#[doc = $about:literal])*
        pub enum $type:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[doc = $doc])* $variant,)+
            /// A newer daemon said a name that this version does not know.
            Unknown($crate::protocol::UnknownName),
        }

        impl $type {
            /// Those that this version knows, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as it stands in JSON.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name.as_str(),
                }
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Unknown($crate::protocol::UnknownName::new(other)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::protocol::name::travels_as_name!($type);

        #[cfg(test)]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::protocol::golden::open_names(
                    &[$($about),*],
                    &[$(($name, &[$($doc),*] as &[&str])),+],
                )
            }
        }
    };
}

pub(super) use {open_names, travels_as_name};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::codec::Encoding;
    use crate::protocol::{FailureCode, Phase, RestrictionKind, Stage, Unlink, WarningKind};

    #[test]
    fn a_name_is_kept_and_bounded() {
        for (said, kept) in [
            ("migrating", "migrating".to_owned()),
            ("", String::new()),
            ("a\u{1b}[31m\nb", "a?[31m?b".to_owned()),
            (&"x".repeat(100), "x".repeat(31)),
            (&"ü".repeat(100), "ü".repeat(15)),
        ] {
            assert_eq!(UnknownName::new(said).as_str(), kept);
        }
    }

    /// In both encodings a name that is known reads as its variant, and another one is kept.
    #[test]
    fn known_and_unknown_names_travel() {
        for encoding in [Encoding::Json, Encoding::Bincode] {
            let name = encoding.encode(&"online").expect("written");
            assert_eq!(
                encoding.decode::<Phase>(&name).expect("read"),
                Phase::Online
            );
            let name = encoding.encode(&"migrating").expect("written");
            let phase: Phase = encoding.decode(&name).expect("read");
            assert!(matches!(phase, Phase::Unknown(_)));
            assert_eq!(phase.to_string(), "migrating");
            assert_eq!(encoding.encode(&phase).expect("written"), name);
        }
        for wrong in ["7", "null", "{\"online\":1}", "[]"] {
            assert!(serde_json::from_str::<Phase>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        fn read_back<T>(all: &[T])
        where
            T: PartialEq + fmt::Debug + fmt::Display + for<'a> From<&'a str>,
        {
            for value in all {
                assert_eq!(&T::from(value.to_string().as_str()), value);
            }
        }
        read_back(Phase::ALL);
        read_back(Stage::ALL);
        read_back(Unlink::ALL);
        read_back(RestrictionKind::ALL);
        read_back(WarningKind::ALL);
        read_back(FailureCode::ALL);
        read_back(crate::protocol::KeySource::ALL);
    }
}
