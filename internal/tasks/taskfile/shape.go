package taskfile

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// shape compares a document's nodes with the table of keys.
type shape struct {
	unknown   func(key *yaml.Node, where keyPath, keys []Key)
	duplicate func(key *yaml.Node, where keyPath)
	// misfit is told of a value of the wrong type.
	misfit func(value *yaml.Node, where keyPath, key *Key)
	budget int // nodes that may still be looked at: aliases can make many of few
}

// maxShape is the budget of a look at one document.
const maxShape = 2 * maxParts

func (s *shape) mapping(node *yaml.Node, where keyPath, keys []Key) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content) && s.budget > 0; i += 2 {
		s.budget--
		name, value := node.Content[i], node.Content[i+1]
		key := keyNamed(keys, name.Value)
		switch {
		case name.Value == "<<":
			if merged := resolve(value); merged.Kind == yaml.MappingNode {
				s.mapping(merged, where, keys)
			}
			continue
		case key == nil:
			s.unknown(name, where.key(name.Value), keys)
			continue
		case seen[name.Value]:
			s.duplicate(name, where.key(name.Value))
		}
		seen[name.Value] = true
		s.value(value, where.key(name.Value), key)
	}
}

func (s *shape) value(node *yaml.Node, where keyPath, key *Key) {
	value := resolve(node)
	if s.budget--; s.budget < 0 || value.ShortTag() == "!!null" {
		return
	}
	switch {
	case !fits(value, key.Type):
		s.misfit(node, where, key)
	case value.Kind == yaml.MappingNode && key.Members != nil:
		s.mapping(value, where, key.Members)
	case value.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			s.value(value.Content[i+1], where.key(value.Content[i].Value), &Key{Type: Text})
		}
	case value.Kind == yaml.SequenceNode:
		item := Key{Type: itemTypes[key.Type], Members: key.Members}
		for i, entry := range value.Content {
			s.value(entry, where.item(i), &item)
		}
	}
}

var itemTypes = map[Type]Type{Texts: Text, Numbers: Number, Mappings: Mapping}

// switches are the words for true and false, as YAML 1.1 has them.
var switches = []string{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE", "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}

// fits says what the decoder takes for a type.
func fits(node *yaml.Node, typ Type) bool {
	scalar := node.Kind == yaml.ScalarNode
	switch typ {
	case Text:
		return scalar
	case Number:
		return scalar && (node.ShortTag() == "!!int" || node.ShortTag() == "!!float")
	case Switch:
		return scalar && node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && slices.Contains(switches, node.Value)
	case Texts, Numbers, Mappings:
		return node.Kind == yaml.SequenceNode
	case Named:
		return scalar || node.Kind == yaml.MappingNode
	}
	return node.Kind == yaml.MappingNode
}

// misfits lists the values of the wrong type with their places.
func misfits(root *yaml.Node) []misfit {
	var found []misfit
	s := shape{budget: maxShape, unknown: func(*yaml.Node, keyPath, []Key) {}, duplicate: func(*yaml.Node, keyPath) {}}
	s.misfit = func(value *yaml.Node, where keyPath, key *Key) {
		if len(found) < maxFindings {
			found = append(found, misfit{value, where, key})
		}
	}
	if root != nil && root.Kind == yaml.MappingNode {
		s.mapping(root, "", keys)
	}
	return found
}

type misfit struct {
	value *yaml.Node
	where keyPath
	key   *Key
}
