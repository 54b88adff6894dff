//! Generates random values of any deserializable type, without a list of its fields and variants.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};

/// A deserializer that produces random values of the requested types, as a format that is not self-describing.
pub(crate) struct RandomDeserializer {
    random: fastrand::Rng,
    /// The variants of each enum that have not been generated.
    missing: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl RandomDeserializer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), missing: BTreeMap::new() }
    }

    pub(crate) fn generate<T: DeserializeOwned>(&mut self) -> T {
        T::deserialize(self).unwrap()
    }

    /// Returns the variants that were never generated.
    pub(crate) fn missing(&self) -> Vec<(&'static str, &'static str)> {
        self.missing.iter().flat_map(|(name, variants)| variants.iter().map(|&variant| (*name, variant))).collect()
    }

    /// Returns a number with a uniformly chosen bit length.
    fn number(&mut self, bits: u32) -> u64 {
        self.random.u64(..) >> self.random.u32(64 - bits..64)
    }

    /// Returns a float of few enough digits for every parser to read it exactly.
    fn float(&mut self) -> f64 {
        let sign = if self.random.bool() { 1.0 } else { -1.0 };
        sign * self.random.u64(..1_000_000_000_000_000) as f64 / 10_f64.powi(self.random.i32(0..20))
    }

    fn text(&mut self) -> String {
        let length = self.random.usize(1..60);
        (0..length)
            .map(|_| *self.random.choice(&['a', 'Z', '7', '/', '"', '\\', ' ', 'é', '語', '🦀']).unwrap())
            .collect()
    }
}

/// A sequence of this many elements.
struct Elements<'a>(&'a mut RandomDeserializer, usize);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.1.checked_sub(1) else { return Ok(None) };
        self.1 = left;
        seed.deserialize(&mut *self.0).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.1)
    }
}

/// The enum variant with this index.
struct Variant<'a>(&'a mut RandomDeserializer, u32);

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = &'a mut RandomDeserializer;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, &'a mut RandomDeserializer), Error> {
        let index: serde::de::value::U32Deserializer<Error> = self.1.into_deserializer();
        Ok((seed.deserialize(index)?, self.0))
    }
}

impl<'de> VariantAccess<'de> for &mut RandomDeserializer {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements(self, len))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements(self, fields.len()))
    }
}

impl<'de> Deserializer<'de> for &mut RandomDeserializer {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the format is not self-describing"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.random.bool())
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.number(32))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.number(64))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.float())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.random.bool() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = self.random.usize(0..5);
        visitor.visit_seq(Elements(self, length))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = self.random.usize(0..5);
        let labels: Vec<(String, String)> = (0..length).map(|_| (self.text(), self.text())).collect();
        visitor.visit_map(MapDeserializer::new(labels.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == "Duration" {
            let parts = [self.number(64), self.random.u64(..1_000_000_000)];
            return visitor.visit_seq(SeqDeserializer::new(parts.into_iter()));
        }
        visitor.visit_seq(Elements(self, fields.len()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let index = self.random.usize(..variants.len());
        self.missing.entry(name).or_insert_with(|| variants.iter().copied().collect()).remove(variants[index]);
        visitor.visit_enum(Variant(self, u32::try_from(index).unwrap()))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
