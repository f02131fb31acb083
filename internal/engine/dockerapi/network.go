package dockerapi

import (
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
)

func (n Network) show() map[string]any {
	config := []any{}
	if n.Subnet.IsValid() {
		config = append(config, map[string]string{"Subnet": n.Subnet.String(), "Gateway": n.Subnet.Addr().Next().String()})
	}
	if n.IPv6.IsValid() {
		config = append(config, map[string]string{"Subnet": n.IPv6.String(), "Gateway": n.IPv6.Addr().Next().String()})
	}
	return map[string]any{
		"Name": n.Name, "Id": n.Name, "Created": moment(time.Time{}), "Scope": "local", "Driver": "bridge", "EnableIPv6": n.IPv6.IsValid(), "Internal": false,
		"Attachable": false, "Ingress": false, "IPAM": map[string]any{"Driver": "default", "Config": config}, "Containers": map[string]any{},
		"Options": map[string]any{}, "Labels": map[string]any{},
	}
}

func (h *Handler) networks(w http.ResponseWriter, r *http.Request) error {
	wanted, err := readFilters(r, "name", "id", "driver")
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, n := range h.engine.Networks() {
		if matchesName(wanted["name"], n.Name) && matchesName(wanted["id"], n.Name) && matchesName(wanted["driver"], "bridge") {
			list = append(list, n.show())
		}
	}
	answer(w, http.StatusOK, list)
	return nil
}

func matchesName(wanted []string, name string) bool {
	for _, one := range wanted {
		if one == name {
			return true
		}
	}
	return len(wanted) == 0
}

func (h *Handler) network(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	for _, n := range h.engine.Networks() {
		if n.Name == name {
			shown := n.show()
			members := map[string]any{}
			for _, c := range h.engine.Containers() {
				if c.Spec.Network == name && c.State == Running {
					members[c.ID] = map[string]string{"Name": c.Name, "IPv4Address": c.Addr.String()}
				}
			}
			shown["Containers"] = members
			answer(w, http.StatusOK, shown)
			return nil
		}
	}
	return problem.New(problem.NotFound, "NoSuchNetwork", "network %s not found", name)
}

func (h *Handler) createNetwork(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name, Driver string
		EnableIPv6   *bool
		IPAM         *struct{ Driver string }
	}
	if err := networkShape.read(w, r, &body); err != nil {
		return err
	}
	switch {
	case body.Name == "":
		return problem.New(problem.Invalid, "NoName", "a network needs a name")
	case body.Driver != "" && body.Driver != "bridge" && body.Driver != "default":
		return notOffered("the network driver " + body.Driver)
	case body.IPAM != nil && body.IPAM.Driver != "" && body.IPAM.Driver != "default":
		return notOffered("the driver of addresses " + body.IPAM.Driver)
	}
	network := engine.Network{Name: body.Name, IPv6: body.EnableIPv6 != nil && *body.EnableIPv6}
	if err := h.engine.CreateNetwork(r.Context(), network); err != nil {
		return err
	}
	answer(w, http.StatusCreated, map[string]string{"Id": body.Name, "Warning": ""})
	return nil
}

func (h *Handler) removeNetwork(w http.ResponseWriter, r *http.Request) error {
	if err := h.engine.RemoveNetwork(r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (v Volume) show() map[string]any {
	return map[string]any{"Name": v.Name, "Driver": "local", "Mountpoint": "", "CreatedAt": moment(time.Time{}), "Labels": map[string]string{}, "Scope": "local", "Options": nil}
}

func (h *Handler) volumes(w http.ResponseWriter, r *http.Request) error {
	wanted, err := readFilters(r, "name", "driver")
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, v := range h.engine.Volumes() {
		if matchesName(wanted["name"], v.Name) && matchesName(wanted["driver"], "local") {
			list = append(list, v.show())
		}
	}
	answer(w, http.StatusOK, map[string]any{"Volumes": list, "Warnings": []string{}})
	return nil
}

func (h *Handler) volume(w http.ResponseWriter, r *http.Request) error {
	for _, v := range h.engine.Volumes() {
		if v.Name == r.PathValue("name") {
			answer(w, http.StatusOK, v.show())
			return nil
		}
	}
	return problem.New(problem.NotFound, "NoSuchVolume", "get %s: no such volume", r.PathValue("name"))
}

func (h *Handler) createVolume(w http.ResponseWriter, r *http.Request) error {
	var body struct{ Name, Driver string }
	if err := volumeShape.read(w, r, &body); err != nil {
		return err
	}
	switch {
	case body.Name == "":
		return notOffered("a volume without a name")
	case body.Driver != "" && body.Driver != "local":
		return notOffered("a volume with a driver of its own")
	}
	if err := h.engine.CreateVolume(body.Name); err != nil {
		return err
	}
	answer(w, http.StatusCreated, Volume{Name: body.Name}.show())
	return nil
}

func (h *Handler) removeVolume(w http.ResponseWriter, r *http.Request) error {
	if err := h.engine.RemoveVolume(r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
