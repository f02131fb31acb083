// Command identityprobe is what a step of a task runs to see whether the Azure SDK finds
// the identity of the task: it asks for a token, as any program in a container would, and
// prints whose it is.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func main() {
	var options azidentity.ManagedIdentityCredentialOptions
	if len(os.Args) > 1 {
		options.ID = azidentity.ClientID(os.Args[1])
	}
	credential, err := azidentity.NewManagedIdentityCredential(&options)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
	if err != nil {
		fmt.Println("no token:", strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1])
	if err != nil {
		log.Fatal(err)
	}
	var who struct {
		AppID string `json:"appid"`
		MIRID string `json:"xms_mirid"`
	}
	if err := json.Unmarshal(claims, &who); err != nil {
		log.Fatal(err)
	}
	fmt.Println("token of", who.AppID, who.MIRID)
}
