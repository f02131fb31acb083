// Command ask prints the status with which a server answers, as a program in Go does that trusts
// those whom the system trusts. It is run in steps.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	res, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = res.Body.Close() // nothing is read of it
	fmt.Print(res.StatusCode)
}
