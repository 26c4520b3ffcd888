module new-plugin

go 1.27

require rijan/plugin v0.0.0

// Written here by `rijan plugin new`, and kept up to date by `rijan plugin build`.
replace rijan/plugin => ./.rijan/go
