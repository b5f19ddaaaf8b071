"""The tables that the page reads, with the columns and indexes that it needs."""

from django.db import models


class Program(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    points_name = models.CharField(max_length=40)


class Tier(models.Model):
    program = models.ForeignKey(Program, models.CASCADE, related_name="tiers")
    name = models.CharField(max_length=80)
    required_points = models.BigIntegerField()


class Reward(models.Model):
    program = models.ForeignKey(Program, models.CASCADE, related_name="rewards")
    title = models.CharField(max_length=80)
    cost = models.BigIntegerField(db_index=True)
    active = models.BooleanField(default=True)


class Customer(models.Model):
    program = models.ForeignKey(Program, models.CASCADE)
    name = models.CharField(max_length=80)
    email = models.EmailField()
    email_verified_at = models.DateTimeField(null=True)
    phone = models.CharField(max_length=40, null=True)
    card_number = models.CharField(max_length=26)
    points = models.BigIntegerField()
    tier = models.ForeignKey(Tier, models.PROTECT, null=True)


class Entry(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="entries")
    number = models.IntegerField()
    at = models.DateTimeField()
    reason = models.CharField(max_length=120)
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint("customer", "number", name="entry_number"),)
