module rijan/plugin

go 1.27
