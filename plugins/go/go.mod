module waxwing.example/impersonation

go 1.24
