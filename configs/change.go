package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Change is a key whose value differs between two configurations.
type Change struct {
	Key      string // its path, such as quota.windows
	Old, New string // as a file would say it; secrets are masked
}

// String is the key, and both values where they can be shown.
func (c Change) String() string {
	if c.Old == c.New {
		return c.Key
	}
	return fmt.Sprintf("%s: %s, was %s", c.Key, c.New, c.Old)
}

// Changes lists the keys that differ, in the order of the file.
func Changes(old, now Config) []Change {
	return changes("", reflect.ValueOf(old), reflect.ValueOf(now))
}

// changes compares two values of a type. A section is a struct of its own; lists and maps are compared whole.
func changes(path string, old, now reflect.Value) (all []Change) {
	_, hidden := reflect.TypeAssert[revealer](old)
	if hidden || old.Kind() != reflect.Struct {
		if equal(old, now) {
			return nil
		}
		return []Change{{path, text(old), text(now)}}
	}
	for i := range old.NumField() {
		key, _, _ := strings.Cut(old.Type().Field(i).Tag.Get("yaml"), ",")
		all = append(all, changes(join(path, key), old.Field(i), now.Field(i))...)
	}
	return all
}

// revealer is what prints masked.
type revealer interface{ Reveal() string }

// equal takes an empty list for none: both are written [].
func equal(old, now reflect.Value) bool {
	if hidden, ok := reflect.TypeAssert[revealer](old); ok {
		other, _ := reflect.TypeAssert[revealer](now) // of the same type
		return hidden.Reveal() == other.Reveal()
	}
	if old.Kind() == reflect.Slice && old.Len() == 0 && now.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(old.Interface(), now.Interface())
}

func text(v reflect.Value) string {
	out, err := yaml.MarshalWithOptions(v.Interface(), slices.Concat(printOptions(), []yaml.EncodeOption{yaml.Flow(true)})...)
	if err != nil {
		return redacted
	}
	return strings.TrimSpace(string(out))
}
