//! The public items of one crate's sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Type, UseTree, Visibility};

use super::text::tidy;

/// A public name of the facade.
pub(crate) struct Exported {
    /// By which programs name it.
    pub(crate) path: String,
    /// The crate that it comes from; `None` for this one.
    pub(crate) source: Option<String>,
    /// Its name there; `*crate*` where it is the crate.
    pub(crate) name: String,
}

/// Every public definition by name, and what is implemented for it.
#[derive(Default)]
pub(crate) struct Index {
    definitions: BTreeMap<String, String>,
    methods: BTreeMap<String, BTreeSet<String>>,
    traits: BTreeMap<String, BTreeSet<String>>,
    files: BTreeMap<String, syn::File>,
}

impl Index {
    pub(crate) fn of(directory: &Path) -> Self {
        let mut index = Self::default();
        index.read(directory, "");
        let files = std::mem::take(&mut index.files);
        files.values().for_each(|file| index.items(&file.items));
        Self { files, ..index }
    }

    fn read(&mut self, directory: &Path, module: &str) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let name = format!("{module}{stem}");
            if path.is_dir() {
                self.read(&path, &format!("{name}::"));
            } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests"
            {
                let text = fs::read_to_string(&path).unwrap();
                self.files.insert(name, syn::parse_file(&text).unwrap());
            }
        }
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(module) if !is_test(&module.attrs) => {
                    let inner = module.content.as_ref().map(|(_, items)| items.as_slice());
                    self.items(inner.unwrap_or_default());
                }
                Item::Impl(implementation) => self.implementation(implementation),
                other => {
                    if let Some((name, text)) = definition(other) {
                        self.definitions.insert(name, text);
                    }
                }
            }
        }
    }

    fn implementation(&mut self, implementation: &ItemImpl) {
        let Type::Path(path) = &*implementation.self_ty else { return };
        let name = path.path.segments.last().unwrap().ident.to_string();
        if let Some((_, of, _)) = &implementation.trait_ {
            let (of, own) = (tidy(of), tidy(&implementation.self_ty));
            self.traits.entry(name).or_default().insert(format!("impl {of} for {own}"));
            return;
        }
        let methods = self.methods.entry(name).or_default();
        for item in &implementation.items {
            match item {
                ImplItem::Fn(method) if is_public(&method.vis) => {
                    let (cfg, signature) = (feature(&method.attrs), tidy(&method.sig));
                    methods.insert(format!("{cfg}pub {signature}"));
                }
                ImplItem::Const(value) if is_public(&value.vis) => {
                    methods.insert(format!("pub const {}: {}", value.ident, tidy(&value.ty)));
                }
                _ => {}
            }
        }
    }

    /// The definition of a name, and what is implemented for it.
    pub(crate) fn describe(&self, name: &str) -> String {
        let mut text = self.definitions.get(name).cloned();
        let text = text.get_or_insert_with(|| format!("{name} (made by a macro)\n"));
        let implemented = self.methods.get(name).into_iter().chain(self.traits.get(name));
        for line in implemented.flatten() {
            text.push_str(&format!("    {line}\n"));
        }
        std::mem::take(text)
    }

    /// The public names of this crate.
    pub(crate) fn exported(&self) -> Vec<Exported> {
        let mut all = Vec::new();
        self.export("lib", "voiddht", &mut all);
        all
    }

    fn export(&self, module: &str, path: &str, all: &mut Vec<Exported>) {
        for item in &self.files[module].items {
            match item {
                Item::Use(one) if is_public(&one.vis) => names(&one.tree, "", path, all),
                Item::Mod(inner) if is_public(&inner.vis) => {
                    let name = inner.ident.to_string();
                    self.export(&name, &format!("{path}::{name}"), all);
                }
                other => {
                    if let Some((name, _)) = definition(other) {
                        all.push(Exported { path: format!("{path}::{name}"), source: None, name });
                    }
                }
            }
        }
    }
}

/// The names of a `pub use`.
fn names(tree: &UseTree, source: &str, path: &str, all: &mut Vec<Exported>) {
    let is_foreign = source.starts_with("voiddht_") || source == "bytes";
    let source_crate = is_foreign.then(|| source.to_owned());
    match tree {
        UseTree::Path(inner) => {
            let source =
                if source.is_empty() { inner.ident.to_string() } else { source.to_owned() };
            names(&inner.tree, &source, path, all);
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|inner| names(inner, source, path, all));
        }
        UseTree::Name(name) => {
            // What another module of this crate re-exports is from where that has it.
            let name = name.ident.to_string();
            if source.is_empty() {
                let (path, source) = (format!("{path}::{name}"), Some(name));
                return all.push(Exported { path, source, name: "*crate*".to_owned() });
            }
            let moved = (name == "PutFailure").then(|| "voiddht_core".to_owned());
            let source = source_crate.or(moved);
            all.push(Exported { path: format!("{path}::{name}"), source, name });
        }
        UseTree::Rename(renamed) => {
            let (name, source) = ("*crate*".to_owned(), Some(renamed.ident.to_string()));
            all.push(Exported { path: format!("{path}::{}", renamed.rename), source, name });
        }
        UseTree::Glob(_) => panic!("{path}: a glob hides what it exports"),
    }
}

/// The name and text of a public item; without its methods.
fn definition(item: &Item) -> Option<(String, String)> {
    match item {
        Item::Struct(one) if is_public(&one.vis) => {
            let (name, head) = (one.ident.to_string(), attributes(&one.attrs));
            let generics = tidy(&one.generics);
            Some((
                name.clone(),
                format!("{head}pub struct {name}{generics}\n{}", fields(&one.fields)),
            ))
        }
        Item::Enum(one) if is_public(&one.vis) => Some((one.ident.to_string(), enumeration(one))),
        Item::Trait(one) if is_public(&one.vis) => Some((one.ident.to_string(), interface(one))),
        Item::Fn(one) if is_public(&one.vis) => {
            Some((one.sig.ident.to_string(), format!("pub {}\n", tidy(&one.sig))))
        }
        Item::Const(one) if is_public(&one.vis) => {
            Some((one.ident.to_string(), format!("pub const {}: {}\n", one.ident, tidy(&one.ty))))
        }
        Item::Type(one) if is_public(&one.vis) => {
            Some((one.ident.to_string(), format!("pub type {} = {}\n", one.ident, tidy(&one.ty))))
        }
        _ => None,
    }
}

fn enumeration(one: &syn::ItemEnum) -> String {
    let head = attributes(&one.attrs);
    let mut text = format!("{head}pub enum {}{}\n", one.ident, tidy(&one.generics));
    for variant in &one.variants {
        text.push_str(&format!("    {}{}\n", variant.ident, tidy(without_docs(&variant.fields))));
    }
    text
}

fn interface(one: &syn::ItemTrait) -> String {
    let mut text = format!("pub trait {}: {}\n", one.ident, tidy(&one.supertraits));
    for item in &one.items {
        if let TraitItem::Fn(method) = item {
            let provided = if method.default.is_some() { " (provided)" } else { "" };
            text.push_str(&format!("    {}{provided}\n", tidy(&method.sig)));
        }
    }
    text
}

fn fields(fields: &Fields) -> String {
    let public = fields.iter().filter(|field| is_public(&field.vis));
    let name = |field: &syn::Field| match &field.ident {
        Some(name) => format!("{name}: "),
        None => String::new(),
    };
    public.map(|field| format!("    pub {}{}\n", name(field), tidy(&field.ty))).collect()
}

fn without_docs(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.iter_mut().for_each(|field| field.attrs.clear());
    fields
}

/// Derived traits, and whether the type will grow.
fn attributes(all: &[Attribute]) -> String {
    let wanted = ["derive", "non_exhaustive", "must_use"];
    let wanted = all.iter().filter(|one| wanted.iter().any(|name| one.path().is_ident(name)));
    wanted.map(|one| format!("{}\n", tidy(one).replace("# [", "#["))).collect()
}

/// The feature that an item is behind.
fn feature(all: &[Attribute]) -> String {
    let all = all.iter().filter(|one| one.path().is_ident("cfg"));
    all.map(|one| format!("{} ", tidy(one).replace("# [", "#["))).collect()
}

fn is_test(all: &[Attribute]) -> bool {
    all.iter().any(|one| one.path().is_ident("cfg") && tidy(one).contains("test"))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
