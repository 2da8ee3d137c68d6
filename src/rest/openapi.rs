//! The OpenAPI document: made from the table of routes and the contract with its comments. Pure. `docs/openapi.json` is what it says.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};
use serde_json::{Map, Value, json};

use super::routes::{Answer, Body, ROUTES, Route, Verb};
use crate::wire::FILE_DESCRIPTOR_SET;

/// The package of the contract, as full names begin.
const PACKAGE: &str = ".selfsame.v1.";

/// The numbers of fields in a file's descriptor, of which the places of comments are made.
mod place {
    pub(super) const MESSAGES: i32 = 4;
    pub(super) const ENUMS: i32 = 5;
    pub(super) const SERVICES: i32 = 6;
    pub(super) const FIELDS_OR_METHODS: i32 = 2;
}

/// The document as JSON, the same for one build.
#[must_use]
pub fn document() -> String {
    // The contract is compiled in; if it could not be read, reflection would fail first, and loudly.
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let contract = Contract::of(&files);
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for route in &ROUTES {
        let verb = verb_of(route.verb);
        paths.entry(path_of(route)).or_default().insert(verb.to_owned(), contract.operation(route, &mut named));
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Selfsame",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Stops referral fraud before money leaves the house",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "http://127.0.0.1:50053", "description": "`selfsame serve --rest 127.0.0.1:50053`" }],
        "security": [{ "token": [] }, {}],
        "tags": contract.tags(),
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "A token of `selfsame token issue`." } },
            "responses": { "Refused": refused() },
            "schemas": contract.schemas(named),
        },
    });
    // The document is of strings and numbers: it can be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

const fn verb_of(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Delete => "delete",
    }
}

/// The path with what stands in braces called by the field's own name: `{program_id}`, wherever in the request it is.
fn path_of(route: &Route) -> String {
    let mut path = String::new();
    for (number, part) in route.path.split(['{', '}']).enumerate() {
        match number % 2 {
            0 => path.push_str(part),
            _ => path.push_str(&format!("{{{}}}", last_of(part))),
        }
    }
    path
}

fn last_of(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

fn refused() -> Value {
    let text = json!({ "type": "string" });
    let violation =
        json!({ "type": "object", "properties": { "field": text, "description": text }, "required": ["field", "description"] });
    let error = json!({
        "type": "object",
        "required": ["code", "status", "message"],
        "properties": {
            "code": { "type": "integer", "description": "The HTTP status." },
            "status": { "type": "string", "description": "The code of gRPC, like `NOT_FOUND`." },
            "message": text,
            "reason": { "type": "string", "description": "Why, for machines: docs/errors.md lists all." },
            "metadata": { "type": "object", "additionalProperties": text },
            "fieldViolations": { "type": "array", "items": violation },
            "retryDelay": { "type": "string", "description": "How long to wait before trying again, like `0.05s`." },
        },
    });
    let schema = json!({ "type": "object", "required": ["error"], "properties": { "error": error } });
    json!({ "description": "It was refused.", "content": { "application/json": { "schema": schema } } })
}

/// The contract by name, with what its comments say.
struct Contract<'f> {
    messages: BTreeMap<&'f str, (&'f DescriptorProto, Comments<'f>)>,
    enums: BTreeMap<&'f str, (&'f EnumDescriptorProto, Comments<'f>)>,
    /// What is said of services, and of methods as `Service.Method`.
    said: BTreeMap<String, String>,
}

/// The comments of a file below a place.
#[derive(Clone)]
struct Comments<'f> {
    file: &'f FileDescriptorProto,
    at: Vec<i32>,
}

impl Comments<'_> {
    /// What stands above what is at a place below this one.
    fn at(&self, below: &[i32]) -> String {
        let place: Vec<i32> = self.at.iter().chain(below).copied().collect();
        let locations = self.file.source_code_info.iter().flat_map(|info| &info.location);
        let found = locations.filter(|location| location.path == place).find_map(|location| location.leading_comments.as_deref());
        found.unwrap_or_default().lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    }
}

impl<'f> Contract<'f> {
    fn of(files: &'f FileDescriptorSet) -> Self {
        let mut contract = Self { messages: BTreeMap::new(), enums: BTreeMap::new(), said: BTreeMap::new() };
        for file in files.file.iter().filter(|file| file.package() == "selfsame.v1") {
            let below = |kind: i32, number: usize| Comments { file, at: vec![kind, i32::try_from(number).unwrap_or_default()] };
            for (number, message) in file.message_type.iter().enumerate() {
                contract.messages.insert(message.name(), (message, below(place::MESSAGES, number)));
            }
            for (number, one) in file.enum_type.iter().enumerate() {
                contract.enums.insert(one.name(), (one, below(place::ENUMS, number)));
            }
            for (number, service) in file.service.iter().enumerate() {
                let comments = below(place::SERVICES, number);
                contract.said.insert(service.name().to_owned(), comments.at(&[]));
                for (number, method) in service.method.iter().enumerate() {
                    let said = comments.at(&[place::FIELDS_OR_METHODS, i32::try_from(number).unwrap_or_default()]);
                    contract.said.insert(format!("{}.{}", service.name(), method.name()), said);
                }
            }
        }
        contract
    }

    fn tags(&self) -> Vec<Value> {
        let services: BTreeSet<&str> = ROUTES.iter().map(|route| route.service).collect();
        let said = |name: &str| self.said.get(name).cloned().unwrap_or_default();
        services.into_iter().map(|name| json!({ "name": name, "description": said(name) })).collect()
    }

    /// One method. `named` gathers the messages that it speaks of.
    fn operation(&self, route: &Route, named: &mut BTreeSet<String>) -> Value {
        let Route { service, method, body, answer, .. } = route;
        let (request, response) = (format!("{method}Request"), format!("{method}Response"));
        let said = self.said.get(&format!("{service}.{method}")).cloned().unwrap_or_default();
        let content = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
        let answered = match answer {
            Answer::One => content("application/json", reference(&response)),
            Answer::Lines => content("application/x-ndjson", reference(&response)),
        };
        named.insert(response.clone());
        let mut operation = json!({
            "operationId": format!("{service}_{method}"),
            "tags": [service],
            "summary": said.split_inclusive(". ").next().unwrap_or_default().trim().trim_end_matches('.'),
            "description": said,
            "parameters": self.parameters(route),
            "responses": {
                "200": { "description": self.said_of(&response), "content": answered },
                "default": { "$ref": "#/components/responses/Refused" },
            },
        });
        let sent = match body {
            Body::None => None,
            Body::Whole => Some(("application/json", self.without_the_path(route, &request, named))),
            Body::Field(field) => {
                let inner = self.message_of(&request, field);
                named.insert(inner.clone());
                Some(("application/json", reference(&inner)))
            }
            Body::Lines => {
                named.insert(request.clone());
                Some(("application/x-ndjson", reference(&request)))
            }
        };
        if let (Some((kind, schema)), Some(operation)) = (sent, operation.as_object_mut()) {
            operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content(kind, schema) }));
        }
        operation
    }

    fn said_of(&self, message: &str) -> String {
        self.messages.get(message).map(|(_, comments)| comments.at(&[])).unwrap_or_default()
    }

    /// The message that a field of a message is.
    fn message_of(&self, message: &str, field: &str) -> String {
        let fields = self.messages.get(message).map(|(described, _)| described.field.as_slice()).unwrap_or_default();
        let found = fields.iter().find(|known| known.name() == field);
        found.map(|field| field.type_name().trim_start_matches(PACKAGE).to_owned()).unwrap_or_default()
    }

    /// A request's fields, less those that the path names.
    fn without_the_path(&self, route: &Route, request: &str, named: &mut BTreeSet<String>) -> Value {
        let in_path: BTreeSet<&str> = route.fields().collect();
        let Some((described, comments)) = self.messages.get(request) else { return json!({}) };
        let left = described.field.iter().enumerate().filter(|(_, field)| !in_path.contains(field.name()));
        let properties: Map<String, Value> =
            left.map(|(number, field)| (field.json_name().to_owned(), Self::property(field, number, comments, named))).collect();
        json!({ "type": "object", "properties": properties })
    }

    fn parameters(&self, route: &Route) -> Vec<Value> {
        let mut all = Vec::new();
        for field in route.fields() {
            let described = json!({ "type": "string", "minLength": 1 });
            all.push(json!({ "name": last_of(field), "in": "path", "required": true, "schema": described }));
        }
        if route.body == Body::None {
            let in_path: BTreeSet<&str> = route.fields().collect();
            let request = self.messages.get(format!("{}Request", route.method).as_str());
            if let Some((described, comments)) = request {
                for (number, field) in described.field.iter().enumerate().filter(|(_, field)| !in_path.contains(field.name())) {
                    let (mut schema, said) = (Self::schema_of(field, &mut BTreeSet::new()), said_of(comments, number));
                    if let (Type::Enum, Some(inline)) = (field.r#type(), self.enum_inline(field)) {
                        schema =
                            if field.label() == Label::Repeated { json!({ "type": "array", "items": inline }) } else { inline };
                    }
                    all.push(json!({ "name": field.json_name(), "in": "query", "description": said, "schema": schema }));
                }
            }
        }
        all
    }

    fn enum_inline(&self, field: &FieldDescriptorProto) -> Option<Value> {
        let (described, _) = self.enums.get(field.type_name().trim_start_matches(PACKAGE))?;
        Some(json!({ "type": "string", "enum": choices(described) }))
    }

    fn property(field: &FieldDescriptorProto, number: usize, comments: &Comments<'_>, named: &mut BTreeSet<String>) -> Value {
        let mut schema = Self::schema_of(field, named);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), json!(said_of(comments, number)));
        }
        schema
    }

    fn schema_of(field: &FieldDescriptorProto, named: &mut BTreeSet<String>) -> Value {
        let one = Self::schema_of_one(field, named);
        if field.label() == Label::Repeated { json!({ "type": "array", "items": one }) } else { one }
    }

    fn schema_of_one(field: &FieldDescriptorProto, named: &mut BTreeSet<String>) -> Value {
        match field.r#type() {
            Type::Bool => json!({ "type": "boolean" }),
            Type::String => json!({ "type": "string" }),
            Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Type::Float | Type::Double => json!({ "type": "number" }),
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Type::Uint32 | Type::Fixed32 => json!({ "type": "integer", "minimum": 0 }),
            // In quotes, because not every reader of JSON has numbers of 64 bits.
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => json!({ "type": "string", "format": "int64" }),
            Type::Uint64 | Type::Fixed64 => json!({ "type": "string", "format": "uint64" }),
            Type::Enum | Type::Message | Type::Group => match field.type_name() {
                ".google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
                ".google.protobuf.Duration" => json!({ "type": "string", "examples": ["3.5s"] }),
                other => {
                    let name = other.trim_start_matches(PACKAGE);
                    named.insert(name.to_owned());
                    reference(name)
                }
            },
        }
    }

    /// The schemas of what was named, and of all that those name.
    fn schemas(&self, mut wanted: BTreeSet<String>) -> BTreeMap<String, Value> {
        let mut schemas = BTreeMap::new();
        while let Some(name) = wanted.pop_first() {
            if schemas.contains_key(&name) {
                continue;
            }
            let mut also = BTreeSet::new();
            if let Some((described, comments)) = self.messages.get(name.as_str()) {
                let property = |(number, field): (usize, &FieldDescriptorProto)| {
                    (field.json_name().to_owned(), Self::property(field, number, comments, &mut also))
                };
                let properties: Map<String, Value> = described.field.iter().enumerate().map(property).collect();
                schemas.insert(name, json!({ "type": "object", "description": comments.at(&[]), "properties": properties }));
            } else if let Some((described, comments)) = self.enums.get(name.as_str()) {
                schemas.insert(name, json!({ "type": "string", "description": comments.at(&[]), "enum": choices(described) }));
            }
            wanted.extend(also);
        }
        schemas
    }
}

fn said_of(comments: &Comments<'_>, number: usize) -> String {
    comments.at(&[place::FIELDS_OR_METHODS, i32::try_from(number).unwrap_or_default()])
}

fn choices(described: &EnumDescriptorProto) -> Vec<&str> {
    described.value.iter().map(EnumValueDescriptorProto::name).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
