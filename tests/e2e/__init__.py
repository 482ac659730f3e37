"""The whole product on a real control plane: the `serve` process, the chart's rules, real kubectl."""
