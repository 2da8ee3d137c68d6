package digest_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"selfsame.example/go/digest"
	"selfsame.example/go/internal/served"
	selfsamev1 "selfsame.example/go/v1"
)

const cases = "6000"

var digester = func() *digest.Digester {
	made, err := digest.New(key("k1", 0))
	if err != nil {
		panic(err)
	}
	return made
}()

func key(id string, first byte) digest.Key {
	secret := make([]byte, 32)
	for at := range secret {
		secret[at] = first + byte(at)
	}
	made, err := digest.NewKey(id, secret)
	if err != nil {
		panic(err)
	}
	return made
}

// CONFORMANCE names a file of clients/conformance/make.py to compare with, in the place of one that is made here.
func TestInputsAtRandomAreDigestedAsTheCommandDoes(t *testing.T) {
	path := os.Getenv("CONFORMANCE")
	if path == "" {
		path = filepath.Join(t.TempDir(), "cases.jsonl")
		made, err := exec.Command("python3", served.File("clients/conformance/make.py"), served.Binary(), path, "15", cases).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, made)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	same, tooNew, different := 0, 0, 0
	for lines.Scan() {
		var stated struct {
			Kind, Typed string
			Expected    []any
		}
		if err := json.Unmarshal(lines.Bytes(), &stated); err != nil {
			t.Fatal(err)
		}
		found, err := digested(stated.Kind, stated.Typed)
		var refused *digest.Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		switch {
		case refused != nil && refused.Refusal == digest.NewCharacter && stated.Expected != nil:
			tooNew++
		case reflect.DeepEqual(found, stated.Expected):
			same++
		default:
			if different++; different <= 40 {
				t.Errorf("%s %+q: refused there: %v, refused here: %v", stated.Kind, stated.Typed, stated.Expected == nil, err)
			}
		}
	}
	t.Logf("same %d, too new %d, different %d", same, tooNew, different)
	if same < 5000 || tooNew > same/50 {
		t.Errorf("same %d, too new %d", same, tooNew)
	}
}

func digested(kind, typed string) ([]any, error) {
	switch kind {
	case "email":
		signals, err := digester.Email(typed)
		if err != nil {
			return nil, err
		}
		plusFolded, err := digester.PlusFolded(typed)
		if err != nil {
			return nil, err
		}
		found := inJSON(signals).(map[string]any)
		if len(plusFolded) > 0 {
			found["plusFolded"] = digestsInJSON(plusFolded)
		}
		return []any{found}, nil
	case "name":
		signals, err := digester.Name(typed)
		return one(signals, err)
	case "device":
		signals, err := digester.Device(typed, "")
		return one(signals, err)
	case "browser":
		signals, err := digester.Device("", typed)
		return one(signals, err)
	case "ip":
		entries, err := digester.Networks(typed)
		var all []any
		for _, entry := range entries {
			all = append(all, inJSON(entry))
		}
		return all, err
	default:
		of := digest.Kind(strings.TrimPrefix(kind, "payment:"))
		signals, err := digester.Payment(of, selfsamev1.PaymentPurpose_PAYMENT_PURPOSE_UNSPECIFIED, typed)
		return one(signals, err)
	}
}

func one(signals proto.Message, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	return []any{inJSON(signals)}, nil
}

func inJSON(message proto.Message) any {
	content, err := protojson.Marshal(message)
	if err != nil {
		panic(err)
	}
	var found any
	if err := json.Unmarshal(content, &found); err != nil {
		panic(err)
	}
	return found
}

func digestsInJSON(digests []*selfsamev1.Digest) []any {
	var all []any
	for _, one := range digests {
		all = append(all, map[string]any{"keyId": one.KeyId, "value": base64.StdEncoding.EncodeToString(one.Value)})
	}
	return all
}
