//! The qualified names of methods of CPython 3.9 and 3.10, whose code objects have none: the function in the class of the frame's first
//! variable has it (`PyFunctionObject` of Include/funcobject.h).

use std::sync::Arc;

use super::memory::{Fields, Memory};
use super::objects::{Executed, Kind, Objects};
use super::stack::Raw;
use super::{Trouble, names, soft};

/// `tp_dict`, eight bytes behind `tp_base` (Include/cpython/object.h).
const DICT_BEHIND_BASE: u64 = 8;
/// The most base classes that are looked at.
const MOST_BASES: usize = 16;

/// Where a function has its fields.
struct Function {
    code: u64,
    qualname: u64,
}

impl Function {
    /// `None` from 3.11 on, where a code object has the name.
    fn of_minor(minor: (u8, u8)) -> Option<Self> {
        match minor {
            (3, 9) => Some(Self { code: 16, qualname: 104 }),
            (3, 10) => Some(Self { code: 48, qualname: 40 }),
            _ => None,
        }
    }
}

impl<M: Memory> Objects<'_, M> {
    /// Reads the frame's code object and the function's name; `None` if another type of object is there.
    pub(super) fn executed(&mut self, frame: &Raw) -> Result<Option<Executed>, Trouble> {
        let Some(code) = self.code(frame.executable)? else { return Ok(None) };
        let Some(layout) = Function::of_minor(self.offsets.version.minor()) else {
            let function = Arc::clone(&code.function);
            return Ok(Some(Executed { code, function }));
        };
        let function = match self.methods.get(&frame.executable) {
            Some(known) => Arc::clone(known),
            None => match soft(self.method(frame, &code.function, &layout))?.flatten() {
                Some(name) => Arc::clone(self.methods.entry(frame.executable).or_insert(name)),
                // Its first variable may have another value when it is read again.
                None => Arc::clone(&code.function),
            },
        };
        Ok(Some(Executed { code, function }))
    }

    /// The name of the method, if the function is one of the class of its first variable, or of a base class; the plain name if it is none.
    fn method(&mut self, frame: &Raw, name: &str, layout: &Function) -> Result<Option<Arc<str>>, Trouble> {
        let Some(coroutines) = self.offsets.coroutines else { return Ok(None) };
        let first = self.reader.word(frame.address.wrapping_add(coroutines.locals))?;
        if first == 0 {
            return Ok(None);
        }
        let mut class = self.reader.word(first.wrapping_add(self.offsets.object_type))?;
        for _ in 0..MOST_BASES {
            if class == 0 {
                break;
            }
            let dict = self.reader.word(class.wrapping_add(coroutines.type_base + DICT_BEHIND_BASE))?;
            if let Some(found) = names::find(self, dict, name)? {
                let wanted = [self.offsets.object_type, layout.code, layout.qualname];
                let fields = Fields::read(&mut self.reader, found, &wanted)?;
                let is_it = self.is(Kind::Function, fields.word(self.offsets.object_type))?
                    && fields.word(layout.code) == frame.executable;
                return if is_it {
                    self.string(fields.word(layout.qualname)).map(|name| Some(name.into()))
                } else {
                    Ok(Some(name.into()))
                };
            }
            class = self.reader.word(class.wrapping_add(coroutines.type_base))?;
        }
        Ok(Some(name.into()))
    }
}
