//! Who is let in to the events API: a key id and its secret become a pair of tokens; roles and programmes are those of the directory.

use std::collections::BTreeSet;

use selfsame::book::directory::{DirectoryStep, IdentitySettings, Scope, Stage, Token, TokenDigest};
use selfsame::ports::clock::Clock as _;
use selfsame::vocabulary::ids::{Actor, ProgramId, TokenId};
use selfsame::vocabulary::role::Role;
use selfsame::vocabulary::time::Span;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{World, payload};

const TOKEN: &str = "selfsame_0123456789abcdef0123456789abcdef";

async fn with_a_sender(roles: &[Role], program: &str) -> World {
    let world = World::start(Stage::Production).await;
    world.with_ledger_key().await;
    let name = Actor::new("backend").unwrap();
    let scope = Scope::Of(BTreeSet::from([ProgramId::new(program).unwrap()]));
    let settings =
        IdentitySettings { name: name.clone(), roles: roles.iter().copied().collect(), scope, certificates: BTreeSet::new() };
    let administrator = IdentitySettings {
        name: Actor::new("root").unwrap(),
        roles: BTreeSet::from([Role::Admin]),
        scope: Scope::All,
        certificates: BTreeSet::new(),
    };
    let issue = |name: &Actor, id: &str, text: &str| {
        let token = Token {
            id: TokenId::new(id).unwrap(),
            digest: TokenDigest(Sha256::digest(text.as_bytes()).into()),
            note: String::new(),
            issued_at: world.clock.now(),
            issued_by: Actor::new("root").unwrap(),
            expires_at: None,
            revoked_at: None,
        };
        DirectoryStep::IssueToken(name.clone(), token)
    };
    let root = administrator.name.clone();
    world.directory(DirectoryStep::PutIdentity(administrator)).await;
    world.directory(issue(&root, "tk-root", "selfsame_of_the_administrator_and_nobody_else")).await;
    if program != "shop" {
        selfsame::service::first_start::register(&world.ledger, &*world.clock, program, Stage::Sandbox).await.unwrap();
    }
    world.directory(DirectoryStep::PutIdentity(settings)).await;
    world.directory(issue(&name, "tk-1", TOKEN)).await;
    world
}

async fn token(world: &World, body: Value) -> (u16, Value) {
    let answer = world.send("POST", "/shop/token", &[], body.to_string().as_bytes()).await;
    (answer.status, answer.body)
}

async fn send(world: &World, token: &str) -> (u16, String) {
    let header = format!("Bearer {token}");
    let body = payload!("events_new_signup");
    let answer = world.send("POST", "/shop/events", &[("authorization", &header)], body.as_bytes()).await;
    (answer.status, answer.body["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_key_becomes_a_pair_of_tokens_that_end_in_their_time() {
    let world = with_a_sender(&[Role::Screener], "shop").await;
    let (status, pair) = token(&world, json!({ "accessKeyId": "tk-1", "secretAccessKey": TOKEN })).await;
    assert_eq!((status, &pair["expiresIn"]), (200, &3_600.into()), "{pair}");
    let (access, refresh) = (pair["accessToken"].as_str().unwrap(), pair["refreshToken"].as_str().unwrap());
    assert_eq!(send(&world, access).await.0, 200);
    assert_eq!(send(&world, TOKEN).await.0, 200, "the token itself lets in as well");
    assert_eq!(send(&world, refresh).await.0, 401, "a refresh token is no access token");
    let (status, named) = token(&world, json!({ "accessKeyId": "backend", "secretAccessKey": TOKEN })).await;
    assert_eq!(status, 200, "{named}");
    for wrong in
        [json!({ "accessKeyId": "tk-2", "secretAccessKey": TOKEN }), json!({ "accessKeyId": "tk-1", "secretAccessKey": "no" })]
    {
        assert_eq!(token(&world, wrong).await.0, 401);
    }
    assert_eq!(token(&world, json!({ "accessKeyId": "tk-1" })).await.0, 422);
    let began = world.clock.now();
    world.clock.set(began.minus(Span::from_hours(2)));
    let (status, why) = send(&world, access).await;
    assert!(status == 401 && why.contains("2 h in the future") && why.contains("`iat`"), "{why}");
    world.clock.set(began.plus(Span::from_hours(2)));
    let (status, why) = send(&world, access).await;
    assert!(status == 401 && why.contains("ended"), "{why}");
    let (status, fresh) = token(&world, json!({ "refreshToken": refresh })).await;
    assert_eq!((status, fresh.get("refreshToken")), (200, None), "refreshing gives an access token alone");
    assert_eq!(send(&world, fresh["accessToken"].as_str().unwrap()).await.0, 200);
    assert_eq!(token(&world, json!({ "refreshToken": access })).await.0, 401, "an access token refreshes nothing");
    world.clock.set(began.plus(Span::from_days(5)).plus(Span::from_minutes(1)));
    assert_eq!(token(&world, json!({ "refreshToken": refresh })).await.0, 401, "it ends after five days");
    world.clock.set(began);
    world.directory(DirectoryStep::RevokeToken(TokenId::new("tk-1").unwrap())).await;
    assert_eq!(send(&world, access).await.0, 401, "revoking the key ends what was made from it");
    assert_eq!(token(&world, json!({ "refreshToken": refresh })).await.0, 401);
}

#[tokio::test]
async fn whoever_may_not_is_told_which_role_and_programme_it_takes() {
    let world = with_a_sender(&[Role::Auditor], "shop").await;
    assert_eq!(world.event(payload!("events_new_signup")).await.status, 401);
    let (status, why) = send(&world, TOKEN).await;
    assert!(status == 403 && why.contains("screener"), "{why}");
    let sandbox = with_a_sender(&[Role::Screener], "sandbox").await;
    let (status, why) = send(&sandbox, TOKEN).await;
    assert!(status == 403 && why.contains("`shop`") && why.contains("another environment"), "{why}");
    let read = sandbox.send("GET", "/shop/referral-codes/ANN-1", &[], b"").await;
    assert_eq!(read.status, 401);
}
