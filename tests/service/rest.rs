//! The API as JSON over HTTP: the same answers and refusals as over gRPC, each method under one path, described by its document.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use prost::Message as _;
use selfsame::rest::openapi;
use selfsame::rest::routes::{Answer, Body, ROUTES};
use selfsame::rest::server::{RestParts, serve};
use selfsame::wire::{FILE_DESCRIPTOR_SET, v1};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::access::{identity, token};
use crate::world::{World, conversion, on_one_device};

/// The document as it stands beside the code: `selfsame openapi > docs/openapi.json`.
const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// What came back: the status, the headers, and the body.
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }

    fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The port, and how somebody calls it.
struct Web {
    address: SocketAddr,
    header: String,
}

impl Web {
    async fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, RestParts { api: world.api.clone(), message_bytes_max: 1 << 20 }));
        Self { address, header: "selfsame-actor: rita".to_owned() }
    }

    fn showing(&self, token: &str) -> Self {
        Self { address: self.address, header: format!("authorization: Bearer {token}") }
    }

    async fn ask(&self, verb: &str, path: &str, body: &str) -> Said {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: selfsame\r\n{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.header,
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        // Who is refused early may not read the rest.
        drop(connection.write_all(body.as_bytes()).await);
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        Said { status, head: head.to_owned(), body: if chunked { unchunked(body) } else { body.to_owned() } }
    }

    async fn get(&self, path: &str) -> Said {
        self.ask("GET", path, "").await
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}

fn sent(conversion: &v1::Conversion) -> String {
    serde_json::to_string(conversion).unwrap()
}

#[tokio::test]
async fn a_referral_from_its_conversion_to_its_payment() {
    let world = World::start().await;
    let web = Web::of(&world).await;
    let decided = web.ask("POST", "/v1/programs/shop/conversions", &sent(&conversion("cv-1", "ann", "bob"))).await;
    assert_eq!(decided.status, 200, "{}", decided.body);
    assert_eq!(decided.json()["decision"]["verdict"], "VERDICT_APPROVED");
    assert!(decided.head.contains("cache-control: no-store"), "{}", decided.head);
    let again = web.ask("POST", "/v1/programs/shop/conversions", &sent(&conversion("cv-1", "ann", "bob"))).await;
    assert_eq!(again.json()["replayed"], true);
    // The same as over gRPC, to the letter.
    let request =
        v1::GetDecisionRequest { program_id: "shop".to_owned(), conversion_id: "cv-1".to_owned(), ..Default::default() };
    let over_grpc = world.screening().get_decision(request).await.unwrap().into_inner();
    let over_http = web.get("/v1/programs/shop/decisions/cv-1").await;
    assert_eq!(over_http.body, serde_json::to_string(&over_grpc).unwrap());

    let review = web.ask("POST", "/v1/programs/shop/conversions", &sent(&on_one_device("cv-2", "eve", "mal", 9))).await;
    assert_eq!(review.json()["decision"]["verdict"], "VERDICT_IN_REVIEW", "{}", review.body);
    let waiting = web.get("/v1/programs/shop/decisions?verdicts=VERDICT_IN_REVIEW&pageSize=1").await.json();
    assert_eq!(waiting["decisions"][0]["conversionId"], "cv-2", "{waiting}");
    let resolved = web
        .ask("POST", "/v1/programs/shop/cases/case-cv-2/resolve", r#"{"resolution":"RESOLUTION_REJECT","note":"one device"}"#)
        .await;
    assert_eq!(resolved.json()["summary"]["resolvedBy"], "rita", "{}", resolved.body);
    let gate = web
        .ask("POST", "/v1/programs/shop/payouts/check", r#"{"payouts":[{"rewardId":"r-cv-2","conversionId":"cv-2"}]}"#)
        .await
        .json();
    assert_eq!(gate["answers"][0]["gate"], "GATE_DENY", "{gate}");
}

#[tokio::test]
async fn the_feed_and_many_conversions_are_lines() {
    let world = World::start().await;
    let web = Web::of(&world).await;
    let line =
        |number: usize| json!({ "conversion": conversion(&format!("cv-{number}"), "ann", &format!("bob-{number}")) }).to_string();
    let body = format!("{}\n\n{}\n{}", line(1), line(2), line(3));
    let answers = web.ask("POST", "/v1/conversions/lines", &body).await;
    assert!(answers.head.contains("application/x-ndjson"), "{}", answers.head);
    assert_eq!(answers.lines().len(), 3, "{}", answers.body);
    let feed = web.get("/v1/programs/shop/feed?mode=WATCH_MODE_STOP_AT_END").await.lines();
    let events: Vec<&Value> = feed.iter().flat_map(|message| message["events"].as_array().into_iter().flatten()).collect();
    assert_eq!(events.len(), 3, "{feed:?}");
    // A line that is no request ends them, and says which it was.
    let body = format!("{}\n{{\"conversion\": {{\"conversoin_id\": 1}}}}\n{}", line(4), line(5));
    let answers = web.ask("POST", "/v1/conversions/lines", &body).await.lines();
    let last = answers.last().unwrap();
    assert!(last["error"]["message"].as_str().unwrap().contains("line 2"), "{last}");
    assert!(answers.len() <= 2, "{answers:?}");
}

#[tokio::test]
async fn refusals_say_what_grpc_says_under_the_status_that_stands_for_it() {
    let world = World::start().await;
    let web = Web::of(&world).await;
    let cases = [
        ("GET", "/v1/programs/shopp/queue", "", 404, "PROGRAM_NOT_KNOWN"),
        ("GET", "/v1/programs/shop/cases/case-cv-9", "", 404, "NOT_KNOWN"),
        ("GET", "/v1/programs/shop/cases?pageSize=many", "", 400, "INVALID_FIELDS"),
        ("GET", "/v1/programs/shop/cases?pagesize=5", "", 400, "INVALID_FIELDS"),
        ("GET", "/v1/programs/shop/cases?pageSize=5&pageSize=6", "", 400, "INVALID_FIELDS"),
        ("POST", "/v1/programs/shop/conversions", "{}", 400, "INVALID_FIELDS"),
        ("POST", "/v1/programs/shop/conversions", "[]", 400, "INVALID_FIELDS"),
        ("POST", "/v1/programs/shop/conversions", "{\"kind\": \"SIGNUP\"}", 400, "INVALID_FIELDS"),
        ("POST", "/v1/programs/shop/signals", "{\"programId\": \"other\"}", 400, "INVALID_FIELDS"),
    ];
    for (verb, path, body, status, reason) in cases {
        let said = web.ask(verb, path, body).await;
        let error = &said.json()["error"];
        assert_eq!((said.status, error["reason"].as_str()), (status, Some(reason)), "{verb} {path} {body}: {}", said.body);
    }
    let unknown = web.ask("POST", "/v1/programs/shop/conversions", r#"{"conversoinId": "cv-1"}"#).await.json();
    assert!(unknown["error"]["fieldViolations"][0]["description"].as_str().unwrap().contains("conversoinId"), "{unknown}");
    for (verb, path, status) in [("GET", "/v1/nothing", 404), ("DELETE", "/v1/programs", 405)] {
        let said = web.ask(verb, path, "").await;
        assert_eq!(said.status, status, "{verb} {path}: {}", said.body);
        assert!(said.json()["error"]["message"].as_str().unwrap().contains("/openapi.json"), "{}", said.body);
    }
    let large = format!("{{\"note\": \"{}\"}}", "x".repeat(2 << 20));
    let said = web.ask("POST", "/v1/programs/shop/holds", &large).await;
    assert_eq!((said.status, &said.json()["error"]["status"]), (400, &json!("OUT_OF_RANGE")));
}

#[tokio::test]
async fn the_door_asks_who_calls_here_too() {
    let world = World::start().await;
    let (web, olga) = (Web::of(&world).await, world.calls_of("olga"));
    identity(&olga, "ops", &[v1::Role::Admin], &[]).await;
    let ops = token(&olga, "ops").await.unwrap().secret;
    identity(&world.calls_with(&ops), "paul", &[v1::Role::Payer], &["shop"]).await;
    let paul = token(&world.calls_with(&ops), "paul").await.unwrap().secret;
    assert_eq!(web.get("/v1/programs").await.status, 401, "a name is no token");
    assert_eq!(web.showing("selfsame_nonsense").get("/v1/whoami").await.status, 401);
    let who = web.showing(&paul).get("/v1/whoami").await.json();
    assert_eq!(who["identity"]["name"], "paul");
    assert_eq!(web.showing(&paul).get("/v1/programs/shop/cases").await.status, 403);
    assert_eq!(web.showing(&paul).get("/v1/programs/shop/holds").await.status, 200);
}

#[test]
fn every_method_has_one_path_whose_fields_its_request_has() {
    let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let own: Vec<_> = files.file.iter().filter(|file| file.package() == "selfsame.v1").collect();
    let methods: BTreeSet<(String, String)> = own
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| service.method.iter().map(|method| (service.name().to_owned(), method.name().to_owned())))
        .collect();
    let routed: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (route.service.to_owned(), route.method.to_owned())).collect();
    assert_eq!(routed, methods);
    assert_eq!(ROUTES.len(), methods.len());
    let messages: Vec<_> = own.iter().flat_map(|file| &file.message_type).collect();
    for route in &ROUTES {
        for field in route.fields() {
            let mut message = messages.iter().find(|message| message.name() == format!("{}Request", route.method)).unwrap();
            for part in field.split('.') {
                let found = message
                    .field
                    .iter()
                    .find(|known| known.name() == part)
                    .unwrap_or_else(|| panic!("{field} of {}", route.method));
                let below = found.type_name().rsplit('.').next().unwrap();
                message = messages.iter().find(|message| message.name() == below).unwrap_or(message);
            }
        }
        let mut streams = own.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
        let method = streams.find(|method| method.name() == route.method).unwrap();
        assert_eq!(method.server_streaming(), route.answer == Answer::Lines, "{}", route.method);
        assert_eq!(method.client_streaming(), route.body == Body::Lines, "{}", route.method);
    }
}

#[test]
fn the_document_beside_the_code_is_the_one_that_is_served() {
    assert_eq!(openapi::document(), DOCUMENT, "write it again: `selfsame openapi > docs/openapi.json`");
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let verbs = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
    assert_eq!(verbs.sum::<usize>(), ROUTES.len());
    // Whatever it refers to is there.
    for reference in DOCUMENT.split("\"$ref\": \"#/components/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let (kind, name) = reference.split_once('/').unwrap();
        assert!(document["components"][kind].get(name).is_some(), "{reference}");
    }
}
