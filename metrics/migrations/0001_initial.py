"""Make the permission to view the metrics; there is no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the model that has no table."""

    initial = True

    operations = [
        migrations.CreateModel(
            name="MetricFamily",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
            options={
                "verbose_name": "metric family",
                "verbose_name_plural": "metric families",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
