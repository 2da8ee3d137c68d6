package digest_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"selfsame.example/go/digest"
	"selfsame.example/go/internal/served"
	selfsamev1 "selfsame.example/go/v1"
)

// table is the rows of docs/digests.md below a heading: the texts between backticks, or the bare cells.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	document, err := os.ReadFile(served.File("docs/digests.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), heading+"\n")
	section, _, _ = strings.Cut(section, "\n#")
	var rows [][]string
	for _, line := range strings.Split(section, "\n") {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var row []string
		for _, cell := range strings.Split(line[1:len(line)-1], "|") {
			cell = strings.TrimSpace(cell)
			if strings.HasPrefix(cell, "`") && strings.Count(cell, "`") == 2 {
				cell = cell[1 : len(cell)-1]
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	if len(rows) < 3 {
		t.Fatalf("no rows below %q", heading)
	}
	return rows[2:]
}

func shown(text string) string {
	if text == "" {
		return "absent"
	}
	return text
}

func mailbox(t *testing.T, typed string) (digest.EmailAddress, digest.Mailbox) {
	t.Helper()
	address, err := digest.ParseEmail(typed)
	if err != nil {
		t.Fatal(typed, err)
	}
	return address, address.Mailbox(&digest.DomainRules{})
}

func TestEveryVectorOfTheDocumentHolds(t *testing.T) {
	rules := &digest.DomainRules{}
	found := map[string]func([]string) (any, any){
		"### E-mail vectors": func(row []string) (any, any) {
			address, box := mailbox(t, row[0])
			plus, class := shown(address.PlusFolded(rules)), rules.ClassOf(address.Domain())
			return []string{address.Exact(), box.Address(), plus, shown(box.Pattern()), box.BareLocalPart(), box.Domain(), class}, row[1:]
		},
		"### Name vectors": func(row []string) (any, any) {
			folded, _, err := digest.FoldName(row[0])
			return []any{folded, err}, []any{row[1], error(nil)}
		},
		"### Person vectors": func(row []string) (any, any) {
			if row[0] == "name" {
				_, inOrder, _ := digest.FoldName(row[1])
				return shown(digest.PersonOfName(inOrder)), row[2]
			}
			_, box := mailbox(t, row[1])
			return shown(digest.PersonOfMailbox(box)), row[2]
		},
		"### Network vectors": func(row []string) (any, any) {
			address, prefixes, _ := digest.Network(row[0])
			return []string{address, strings.Join(prefixes, ", ")}, []string{row[1], strings.ReplaceAll(row[2], "`", "")}
		},
		"### Payment vectors": func(row []string) (any, any) {
			canonical, _ := digest.Instrument(digest.Kind(row[0]), row[1])
			return canonical, row[2]
		},
		"### Placeholder vectors": func(row []string) (any, any) { return isPlaceholder(row[0], row[1]), row[2] },
		"### Digest vectors": func(row []string) (any, any) {
			return hex.EncodeToString(digester.Digests(row[0], row[1])[0].Value), row[2]
		},
		"### Sketch vectors": func(row []string) (any, any) {
			return hex.EncodeToString(digester.Sketches(row[0], row[1])[0].Bits), row[2]
		},
	}
	for heading, holds := range found {
		for _, row := range table(t, heading) {
			if is, stated := holds(row); !reflect.DeepEqual(is, stated) {
				t.Errorf("%s: %q: found %v, the document states %v", heading, row[0], is, stated)
			}
		}
	}
}

func isPlaceholder(of, typed string) string {
	var err error
	switch of {
	case "identifier":
		_, err = digest.Identifier(typed)
	case "payment":
		_, err = digest.Instrument(digest.KindUnknown, typed)
	case "name":
		_, _, err = digest.FoldName(typed)
	case "e-mail":
		_, err = digest.ParseEmail(typed)
	}
	var refused *digest.Error
	switch {
	case err == nil:
		return "no"
	case errors.As(err, &refused) && (refused.Refusal == digest.Placeholder || refused.Refusal == digest.TestCard):
		return "yes"
	}
	return err.Error()
}

func refusalOf(err error) digest.Refusal {
	var refused *digest.Error
	if errors.As(err, &refused) {
		return refused.Refusal
	}
	return ""
}

func TestABundleKeepsWhatIsAValueAndTellsWhatIsNone(t *testing.T) {
	payout, billing := selfsamev1.PaymentPurpose_PAYMENT_PURPOSE_PAYOUT, selfsamev1.PaymentPurpose_PAYMENT_PURPOSE_BILLING
	bundle, leftOut := digester.Bundle(digest.Raw{
		AccountID: "ann", Emails: []string{"ann@mail.example", "test@test.com"}, Names: []string{"N/A"},
		Devices:   []digest.RawDevice{{Fingerprint: "fp_8f3a", Attributes: &selfsamev1.DeviceSignals{TimeZone: "Europe/Berlin"}}},
		Addresses: []string{"2001:db8::1", "127.0.0.1"},
		Payments:  []digest.RawPayment{{digest.KindSEPA, payout, "AT61 1904 3002 3457 3201"}, {digest.KindCard, billing, "4242 4242 4242 4242"}},
	})
	counts := []int{len(bundle.Emails), len(bundle.Names), len(bundle.Devices), len(bundle.Networks), len(bundle.Payments)}
	if !reflect.DeepEqual(counts, []int{1, 0, 1, 3, 1}) || bundle.Devices[0].TimeZone != "Europe/Berlin" {
		t.Error(counts)
	}
	var told []string
	for _, one := range leftOut {
		told = append(told, fmt.Sprintf("%s[%d] %s", one.Field, one.Index, refusalOf(one.Err)))
	}
	if !reflect.DeepEqual(told, []string{"emails[1] PLACEHOLDER", "names[0] PLACEHOLDER", "networks[1] NOT_OF_A_USER", "payments[1] TEST_CARD"}) {
		t.Error(told)
	}
}

func TestWhatIsNoTextOrTooNewIsRefused(t *testing.T) {
	for typed, refusal := range map[string]digest.Refusal{"fp_\U0001e5d0": digest.NewCharacter, "fp_\xff": digest.NotText} {
		if _, err := digest.Identifier(typed); refusalOf(err) != refusal {
			t.Error(typed, err)
		}
	}
}

func TestTwoKeysGiveTwoDigestsAndNeedTwoNames(t *testing.T) {
	both, err := digest.New(key("k2", 9), digest.Previous(key("k1", 0)))
	if err != nil {
		t.Fatal(err)
	}
	email, err := both.Email("jane@example.com")
	alone, _ := digester.Email("jane@example.com")
	if err != nil || email.Exact[0].KeyId != "k1" || email.Exact[1].KeyId != "k2" || string(email.Exact[0].Value) != string(alone.Exact[0].Value) {
		t.Error(email, err)
	}
	if _, err := digest.New(key("k1", 9), digest.Previous(key("k1", 0))); err == nil {
		t.Error("two keys of one name are taken")
	}
}

func TestAKeyIsReadAsTheCommandReadsIt(t *testing.T) {
	digits := "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	base64 := "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	for _, text := range []string{digits, "hex:" + strings.ToUpper(digits), base64 + "=", "base64:" + base64 + "\n"} {
		if read, err := digest.KeyFromText("k1", text); err != nil || !reflect.DeepEqual(read, key("k1", 0)) {
			t.Error(err)
		}
	}
	for _, text := range []string{"", digits[2:], digits[1:], strings.Repeat("0", 64), "correct horse battery staple, and more", "raw:short"} {
		if _, err := digest.KeyFromText("k1", text); refusalOf(err) != digest.InvalidKey {
			t.Error(err)
		}
	}
	if told := fmt.Sprintf("%v %+v %#v", key("k1", 0), key("k1", 0), key("k1", 0)); told != "Key(k1) Key(k1) Key(k1)" {
		t.Error(told)
	}
}

func TestYourOwnDomainsGoBeforeTheShippedLists(t *testing.T) {
	rules := &digest.DomainRules{}
	if err := rules.AddFile("ThrowAway.example disposable\nmailinator.com corporate # odd\ncompany.example folds_plus\ngmail.com keeps_plus\n"); err != nil {
		t.Fatal(err)
	}
	for domain, class := range map[string]string{"a.throwaway.example": "DISPOSABLE", "inbox.mailinator.com": "CORPORATE", "gmail.com": "FREE_MAIL"} {
		if found := rules.ClassOf(domain); found != class {
			t.Error(domain, found)
		}
	}
	for typed, expected := range map[string]string{"anna+1@mail.company.example": "anna@mail.company.example", "an.na+1@gmail.com": "anna+1@gmail.com"} {
		address, _ := mailbox(t, typed)
		if found := address.Mailbox(rules).Address(); found != expected {
			t.Error(found)
		}
	}
	for _, line := range []string{"not a domain", "company.example", "company.example good"} {
		if err := rules.AddFile("ok.example relay\n" + line + "\n"); refusalOf(err) != digest.InvalidDomainRule || rules.ClassOf("ok.example") != "CORPORATE" {
			t.Error(line, err)
		}
	}
}
