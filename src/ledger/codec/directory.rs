//! Records of the directory: programmes, callers and their tokens.

use std::collections::BTreeSet;

use super::numbers;
use crate::book::acts::Confirmation;
use crate::book::directory::{DirectoryStep, IdentitySettings, LedgerKey, ProgramSettings, Scope, Token, TokenDigest};
use crate::book::event::DirectoryChanged;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{Actor, ProgramId, TokenId};
use crate::vocabulary::money::Currency;
use crate::vocabulary::time::Span;

/// What a step is. The numbers are stored.
mod step {
    pub(super) const CREATE_PROGRAM: u8 = 1;
    pub(super) const UPDATE_PROGRAM: u8 = 2;
    pub(super) const ARCHIVE: u8 = 3;
    pub(super) const PUT_IDENTITY: u8 = 4;
    pub(super) const REMOVE_IDENTITY: u8 = 5;
    pub(super) const ISSUE_TOKEN: u8 = 6;
    pub(super) const REVOKE_TOKEN: u8 = 7;
    pub(super) const MAKE_KEY: u8 = 8;
}

pub(super) fn write(w: &mut Writer, DirectoryChanged { step, actor, at }: &DirectoryChanged) {
    match step {
        DirectoryStep::CreateProgram(settings) => {
            w.u8(step::CREATE_PROGRAM);
            write_program(w, settings);
        }
        DirectoryStep::UpdateProgram(settings) => {
            w.u8(step::UPDATE_PROGRAM);
            write_program(w, settings);
        }
        DirectoryStep::Archive(id, archival) => {
            w.u8(step::ARCHIVE);
            w.text(id.as_str());
            w.u8(numbers::archival(*archival));
        }
        DirectoryStep::PutIdentity(settings) => {
            w.u8(step::PUT_IDENTITY);
            write_identity(w, settings);
        }
        DirectoryStep::RemoveIdentity(name) => {
            w.u8(step::REMOVE_IDENTITY);
            w.text(name.as_str());
        }
        DirectoryStep::IssueToken(name, token) => {
            w.u8(step::ISSUE_TOKEN);
            w.text(name.as_str());
            write_token(w, token);
        }
        DirectoryStep::RevokeToken(id) => {
            w.u8(step::REVOKE_TOKEN);
            w.text(id.as_str());
        }
        DirectoryStep::MakeKey(LedgerKey(key)) => {
            w.u8(step::MAKE_KEY);
            w.raw(key);
        }
    }
    w.text(actor.as_str());
    w.time(*at);
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<DirectoryChanged, Damaged> {
    let step = match r.u8()? {
        step::CREATE_PROGRAM => DirectoryStep::CreateProgram(read_program(r)?),
        step::UPDATE_PROGRAM => DirectoryStep::UpdateProgram(read_program(r)?),
        step::ARCHIVE => DirectoryStep::Archive(r.id(ProgramId::new)?, numbers::read_archival(r.u8()?)?),
        step::PUT_IDENTITY => DirectoryStep::PutIdentity(read_identity(r)?),
        step::REMOVE_IDENTITY => DirectoryStep::RemoveIdentity(r.id(Actor::new)?),
        step::ISSUE_TOKEN => DirectoryStep::IssueToken(r.id(Actor::new)?, read_token(r)?),
        step::REVOKE_TOKEN => DirectoryStep::RevokeToken(r.id(TokenId::new)?),
        step::MAKE_KEY => DirectoryStep::MakeKey(LedgerKey(r.array()?)),
        _ => return Err(Damaged("a number stands for no step of the directory")),
    };
    Ok(DirectoryChanged { step, actor: r.id(Actor::new)?, at: r.time()? })
}

fn write_set<T>(w: &mut Writer, items: &BTreeSet<T>, mut write: impl FnMut(&mut Writer, &T)) {
    w.len(items.len());
    for item in items {
        write(w, item);
    }
}

fn read_set<'a, T: Ord>(
    r: &mut Reader<'a>,
    read: impl FnMut(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<BTreeSet<T>, Damaged> {
    Ok(r.list(read)?.into_iter().collect())
}

fn write_program(w: &mut Writer, ProgramSettings { id, title, stage, currencies, confirmation, key_ids }: &ProgramSettings) {
    w.text(id.as_str());
    w.text(title);
    w.u8(numbers::stage(*stage));
    write_set(w, currencies, |w, currency| w.text(currency.as_str()));
    w.option(confirmation.as_ref(), write_confirmation);
    write_set(w, key_ids, |w, key| w.text(key.as_str()));
}

fn write_confirmation(w: &mut Writer, Confirmation { above, unbans, models, terms, lifetime }: &Confirmation) {
    w.len(above.len());
    for (currency, minor) in above {
        w.text(currency.as_str());
        w.i64(*minor);
    }
    w.u8(u8::from(*unbans));
    w.u8(u8::from(*models));
    w.u8(u8::from(*terms));
    w.i64(lifetime.as_millis());
}

fn read_confirmation(r: &mut Reader<'_>) -> Result<Confirmation, Damaged> {
    let above = r.list(|r| Ok((r.id(Currency::new)?, r.i64()?)))?;
    let (unbans, models, terms) = (r.u8()? == 1, r.u8()? == 1, r.u8()? == 1);
    Ok(Confirmation { above: above.into_iter().collect(), unbans, models, terms, lifetime: Span::from_millis(r.i64()?) })
}

fn read_program(r: &mut Reader<'_>) -> Result<ProgramSettings, Damaged> {
    Ok(ProgramSettings {
        id: r.id(ProgramId::new)?,
        title: r.text()?.to_owned(),
        stage: numbers::read_stage(r.u8()?)?,
        currencies: read_set(r, |r| r.id(Currency::new))?,
        confirmation: r.option(read_confirmation)?,
        key_ids: read_set(r, |r| r.id(KeyId::new))?,
    })
}

fn write_identity(w: &mut Writer, IdentitySettings { name, roles, scope, certificates }: &IdentitySettings) {
    w.text(name.as_str());
    write_set(w, roles, |w, role| w.u8(numbers::role(*role)));
    w.option(
        match scope {
            Scope::All => None,
            Scope::Of(programs) => Some(programs),
        },
        |w, programs| write_set(w, programs, |w, program| w.text(program.as_str())),
    );
    write_set(w, certificates, |w, name| w.text(name));
}

fn read_identity(r: &mut Reader<'_>) -> Result<IdentitySettings, Damaged> {
    Ok(IdentitySettings {
        name: r.id(Actor::new)?,
        roles: read_set(r, |r| numbers::read_role(r.u8()?))?,
        scope: r.option(|r| read_set(r, |r| r.id(ProgramId::new)))?.map_or(Scope::All, Scope::Of),
        certificates: read_set(r, Reader::boxed_text)?,
    })
}

fn write_token(w: &mut Writer, token: &Token) {
    let Token { id, digest, note, issued_at, issued_by, expires_at, revoked_at } = token;
    w.text(id.as_str());
    w.raw(&digest.0);
    w.text(note);
    w.time(*issued_at);
    w.text(issued_by.as_str());
    w.option(*expires_at, Writer::time);
    w.option(*revoked_at, Writer::time);
}

fn read_token(r: &mut Reader<'_>) -> Result<Token, Damaged> {
    Ok(Token {
        id: r.id(TokenId::new)?,
        digest: TokenDigest(r.array()?),
        note: r.text()?.to_owned(),
        issued_at: r.time()?,
        issued_by: r.id(Actor::new)?,
        expires_at: r.option(Reader::time)?,
        revoked_at: r.option(Reader::time)?,
    })
}
