// Shows the chosen plot of several (a Bokeh callback).
for (const [name, plot] of Object.entries(plots)) plot.visible = name === this.value;
